"""Reads exports of the evidence: `read.py FOLDER`, with the files `ocsf`, `cef`, `csv`, `lines` and `octets`. What was read goes to
standard output, one JSON object.

All parsers, and the schema of OCSF, are others'; only the count of octets before a message is looked at here.
"""

import csv
import json
import sys
from pathlib import Path

import cefp
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from syslog_rfc5424_parser import SyslogMessage

FOLDER = Path(sys.argv[1])


def lines(name):
    """Lines end where any reader of lines might end them: at U+2028 and U+0085 too."""
    return (FOLDER / name).read_bytes().decode().splitlines()


def ocsf():
    published = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
    validators = {}
    for line in lines("ocsf"):
        event = json.loads(line)
        name = published.lookup_class_name_from_uid(event["class_uid"])
        if name not in validators:
            schema = published.get_class_schema(name, event["metadata"]["profiles"])
            validators[name] = Draft202012Validator(schema)
        errors = [f"{error.json_path}: {error.message}" for error in validators[name].iter_errors(event)]
        yield {"event": event, "errors": errors}


def table():
    with open(FOLDER / "csv", newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file, strict=True)


def syslog(message):
    read = SyslogMessage.parse(message)
    return {
        "facility": read.facility.name,
        "severity": read.severity.name,
        "app": read.appname,
        "kind": read.msgid,
        "data": read.sd,
        "message": read.msg,
    }


def counted():
    rest = (FOLDER / "octets").read_bytes()
    while rest:
        count, rest = rest.split(b" ", 1)
        message, rest = rest[: int(count)], rest[int(count) :]
        yield syslog(message.decode())


print(
    json.dumps(
        {
            "ocsf": list(ocsf()),
            "cef": [cefp.parse(line) for line in lines("cef")],
            "csv": list(table()),
            "lines": [syslog(line) for line in lines("lines")],
            "octets": list(counted()),
        }
    )
)
