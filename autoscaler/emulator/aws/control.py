"""The control API of the emulator: JSON under /emu/ on the same port.
GET  calls?action=&since=   every call since the start; world; health
POST pools {instanceType, zone, market: patterns; free: n|null; refusal: code}
     latency {action, seconds}; hold {action}; release {action}
     faults {kind: throttle|deny|error|drop|drop-after, service, action, group, code, message, status, times, seconds}
     clear (faults, latency, holds); launch-api {available}; delays {launch, boot, terminate, retry}
     groups {name, zones, instance_types, market, min, max, desired, tags, …: see build.GroupSettings}
     refuse {group, code|null} every launch of a group fails with the code; rebalance {group, on}
     lose {ids} EC2 takes the instances; state {id, state} e.g. Pending:Wait, Standby, Warmed:Stopped; reset
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qs

from autoscaler.emulator.aws.build import GroupSettings, create_group
from autoscaler.emulator.aws.faults import Fault, Faults, access_denied, throttling
from autoscaler.emulator.aws.groups import lose, rebalance, reconcile_soon
from autoscaler.emulator.aws.journal import Journal
from autoscaler.emulator.aws.launch import Tokens
from autoscaler.emulator.aws.model import AwsFault
from autoscaler.emulator.aws.pools import Rule
from autoscaler.emulator.aws.samples import ICE
from autoscaler.emulator.aws.world import World

Body = Mapping[str, Any]


class Control:
    """Answers the control calls; every method is one of them."""

    def __init__(self, world: World, faults: Faults, journal: Journal, tokens: Tokens) -> None:
        self._world = world
        self._faults = faults
        self._journal = journal
        self._tokens = tokens
        self._posts = {
            "pools": self.pools,
            "latency": lambda body: faults.set_latency(body.get("action", "*"), float(body["seconds"])),
            "hold": lambda body: faults.hold(body["action"]),
            "release": lambda body: faults.release(body["action"]),
            "faults": self.add_fault,
            "clear": lambda _: faults.clear(),
            "launch-api": self.launch_api,
            "delays": self.delays,
            "groups": self.groups,
            "refuse": self.refuse,
            "rebalance": self.rebalance,
            "lose": self.lose,
            "state": self.state,
            "reset": self.reset,
        }

    def answer(self, environ: Mapping[str, Any], body: bytes) -> tuple[int, bytes]:
        """Status and JSON of one control call; what cannot be read is a 400 with the reason."""
        what = environ["PATH_INFO"].removeprefix("/emu/")
        try:
            if environ["REQUEST_METHOD"] == "GET":
                found = self._read(what, parse_qs(environ.get("QUERY_STRING", "")))
            elif what in self._posts:
                self._posts[what](json.loads(body or b"{}"))
                found = {"ok": True}
            else:
                return 404, b'{"error": "no such control call"}'
        except (AwsFault, KeyError, TypeError, ValueError) as error:
            return 400, json.dumps({"error": f"{what}: {error!r}"}).encode()
        return 200, json.dumps(found).encode()

    def pools(self, body: Body) -> None:
        rule = Rule(
            instance_type=body.get("instanceType") or "*",
            zone=body.get("zone") or "*",
            market=body.get("market") or "*",
            free=body.get("free"),
            refusal=body.get("refusal") or ICE,
        )
        with self._world.lock:
            self._world.pools.apply(rule)

    def add_fault(self, body: Body) -> None:
        given = dict(body)
        kind, service = given.pop("kind", "error"), given.pop("service", "autoscaling")
        if kind == "throttle":
            fault = throttling(service, given.get("action", "*"), given.get("times"), given.get("seconds"))
        elif kind == "deny":
            fault = access_denied(service, given["action"], given.get("times"))
        else:
            fault = Fault(kind=kind, **given)
        fault.group = given.get("group", "*")
        self._faults.add(fault)

    def launch_api(self, body: Body) -> None:
        """Without it, LaunchInstances gets whatever plain moto answers."""
        self._faults.launch_api = bool(body["available"])

    def delays(self, body: Body) -> None:
        with self._world.lock:
            for name, seconds in body.items():
                setattr(self._world.delays, name, float(seconds))

    def groups(self, body: Body) -> None:
        with self._world.lock:
            create_group(self._world, cast(GroupSettings, body))

    def refuse(self, body: Body) -> None:
        with self._world.lock:
            group = self._world.group(body["group"])
            group.refusal = body["code"]
            reconcile_soon(self._world, group)

    def rebalance(self, body: Body) -> None:
        with self._world.lock:
            group = self._world.group(body["group"])
            group.rebalance = bool(body.get("on", True))
            rebalance(self._world, group)

    def lose(self, body: Body) -> None:
        with self._world.lock:
            for one in body["ids"]:
                lose(self._world, self._world.instance(one, f"no instance {one}"))

    def state(self, body: Body) -> None:
        """Put an instance into a lifecycle state by hand; it stays there."""
        with self._world.lock:
            self._world.set_state(self._world.instance(body["id"], f"no instance {body['id']}"), body["state"])

    def reset(self, _: Body) -> None:
        self._faults.clear()
        self._journal.clear()
        with self._world.lock:
            self._world.reset()
            self._tokens.clear()

    def _read(self, what: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
        if what == "calls":
            action, since = query.get("action", [""])[0], query.get("since", ["0"])[0]
            calls = self._journal.calls(action or None, int(since))
            return {"calls": [call.as_json() for call in calls]}
        if what == "world":
            return self._state()
        if what == "health":
            return {"ok": True}
        raise ValueError("no such control call")

    def _state(self) -> dict[str, Any]:
        with self._world.lock:
            return {
                "pools": [
                    {"instanceType": p.instance_type, "zone": p.zone, "market": p.market, "free": s.free}
                    for p, s in sorted(self._world.pools.stocks.items())
                ],
                "groups": [
                    {"name": g.name, "min": g.min_size, "max": g.max_size, "desired": g.desired, "live": g.live_units}
                    for _, g in sorted(self._world.groups.items())
                ],
                "instances": [
                    {
                        "id": i.id,
                        "group": i.group,
                        "instanceType": i.instance_type,
                        "zone": i.zone,
                        "market": i.market,
                        "state": i.state,
                        "protected": i.protected,
                        "privateDnsName": i.private_dns_name,
                        "tags": dict(i.tags),
                    }
                    for i in self._world.instances.values()
                ],
            }
