"""UpdateTimeToLive and DescribeTimeToLive; what becomes of items is in tests/cluster/test_ttl.py."""

import time

from conftest import SECONDS_MAX

VALIDATION = "ValidationException"


def settled(server, table, status):
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        found = server.call("DescribeTimeToLive", TableName=table)["TimeToLiveDescription"]
        if found["TimeToLiveStatus"] == status:
            return found
        assert time.monotonic() < deadline, found


def test_update_time_to_live(server, table):
    asked = {"Enabled": True, "AttributeName": "expires"}
    assert server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification=asked) == \
        {"TimeToLiveSpecification": asked}
    assert settled(server, table, "ENABLED") == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_disabled_is_how_tables_begin(server, table):
    assert server.error("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={
        "Enabled": False, "AttributeName": "expires"}) == (VALIDATION, "TimeToLive is already disabled")


def test_what_is_enabled_stays_for_an_hour(server, table):
    def update(enabled, attribute):
        return {"TableName": table, "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}
    server.call("UpdateTimeToLive", update(True, "expires"))
    for enabled in (True, False):
        assert server.error("UpdateTimeToLive", update(enabled, "other")) == (
            VALIDATION, "TimeToLive is active on a different AttributeName: current AttributeName is expires")
    assert server.error("UpdateTimeToLive", update(True, "expires")) == (VALIDATION, "TimeToLive is already enabled")
    settled(server, table, "ENABLED")
    assert server.error("UpdateTimeToLive", update(False, "expires")) == (
        VALIDATION, "Time to live has been modified multiple times within a fixed interval")


def test_specification(server, table):
    for given, faults in (
            (None, ["null at 'timeToLiveSpecification' failed to satisfy constraint: Member must not be null"]),
            ({}, ["null at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must not be null",
                  "null at 'timeToLiveSpecification.enabled' failed to satisfy constraint: Member must not be null"]),
            ({"Enabled": True, "AttributeName": ""},
             ["'' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must have length "
              "greater than or equal to 1"]),
            ({"Enabled": True, "AttributeName": "é" * 256},
             ["'" + "é" * 256 + "' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member "
              "must have length less than or equal to 255"])):
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        assert server.error("UpdateTimeToLive", TableName=table, TimeToLiveSpecification=given) == (
            VALIDATION, count + "; ".join(f"Value {fault}" for fault in faults))
    name, message = server.error("UpdateTimeToLive", TableName=table, TimeToLiveSpecification=["x"])
    assert name == "SerializationException"
    assert server.error("UpdateTimeToLive", TableName="no-such-table", TimeToLiveSpecification={
        "Enabled": True, "AttributeName": "x"}) == (
            "ResourceNotFoundException", "Requested resource not found: Table: no-such-table not found")


def test_names_are_as_long_as_they_may_be(server, table):
    name = "#:.-[0]" + "\u20ac" * 248
    server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": name})
    assert settled(server, table, "ENABLED")["AttributeName"] == name


def test_table_by_its_arn(server, table):
    arn = server.call("DescribeTable", TableName=table)["Table"]["TableArn"]
    server.call("UpdateTimeToLive", TableName=arn, TimeToLiveSpecification={"Enabled": True, "AttributeName": "x"})
    assert settled(server, table, "ENABLED")["AttributeName"] == "x"


def test_items_are_read_until_they_are_deleted(server, table):
    """An item in the past is as any other until it is deleted."""
    server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "x"})
    server.call("PutItem", TableName=table, Item={"pk": {"S": "a"}, "x": {"N": "1"}})
    assert server.call("GetItem", TableName=table, Key={"pk": {"S": "a"}})["Item"]["x"] == {"N": "1"}
    assert server.call("Scan", TableName=table)["Count"] == 1
