/* switch.S - the switch of stacks; see switch.h and struct saved_registers in switch.c. */

#if defined(__x86_64__)

/* void switch_stacks(void **save, void *load): rdi, rsi.  System V ABI: rbx, rbp, r12 to r15, the
 * control bits of mxcsr and the x87 control word survive a call. */
    .text
    .globl switch_stacks
    .type switch_stacks, @function
    .p2align 4
switch_stacks:
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .cfi_endproc
    .size switch_stacks, .-switch_stacks

/* The first return of a prepared stack comes here: call rbx(r12), with no caller to unwind to. */
    .globl switch_entry
    .type switch_entry, @function
    .p2align 4
switch_entry:
    .cfi_startproc
    .cfi_undefined rip
    movq %r12, %rdi
    callq *%rbx
    ud2
    .cfi_endproc
    .size switch_entry, .-switch_entry

#elif defined(__aarch64__)

/* void switch_stacks(void **save, void *load): x0, x1.  AAPCS64: x19 to x29, the link register, the
 * low halves of v8 to v15 and fpcr survive a call. */
    .text
    .globl switch_stacks
    .type switch_stacks, %function
    .p2align 4
switch_stacks:
    .cfi_startproc
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x2, fpcr
    str x2, [sp, #160]
    mov x2, sp
    str x2, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldr x2, [sp, #160]
    msr fpcr, x2
    add sp, sp, #176
    ret
    .cfi_endproc
    .size switch_stacks, .-switch_stacks

/* The first return of a prepared stack comes here: call x19(x20), with no caller to unwind to. */
    .globl switch_entry
    .type switch_entry, %function
    .p2align 4
switch_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size switch_entry, .-switch_entry

#endif

    .section .note.GNU-stack, "", %progbits
