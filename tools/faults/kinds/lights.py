"""Many small clients beside the crowds, in groups that somebody talks to."""

from __future__ import annotations

import resource

import trio

from tools.faults.fault import Fault
from tools.faults.judge import heads
from tools.faults.roll import Crowd
from tools.faults.stage import Stage

GROUP = 200
"""Members of a group."""
SPARE_FILES = 200


def lacking(connections: int) -> str | None:
    """Why so many connections are not possible here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + SPARE_FILES:
        return f"{connections} connections need {connections + SPARE_FILES} open files, and this system allows {hard}"
    return None


class Lights(Fault):
    """`count` of them. `convs`: their groups, of which the first of all members is one too."""

    def __init__(self) -> None:
        self.convs: list[int] = []

    def count(self, stage: Stage) -> int:
        """How many."""
        raise NotImplementedError

    async def before(self, stage: Stage) -> None:
        """All of them are in."""
        count = self.count(stage)
        stage.tell(f"making {count} accounts")
        stage.server.limit_files(count + SPARE_FILES)
        people = [stage.member(person) for person in await stage.register(count)]
        for start in range(0, count, GROUP):
            users = [person.user for person in people[start : start + GROUP]]
            self.convs.append(await stage.make("group", title="lights", users=users))
        url = stage.server.urls["wirechat"]
        self.lights = Crowd("lights", stage.folder, url, people, stage.options.seed, module="tools.faults.light")
        stage.others.append(self.lights)
        await self.lights.start(stage.nursery, files=count + SPARE_FILES)
        await self.lights.hear("ready", stage.options.patience)
        stage.also.append(lambda: self.reach(stage))

    async def reach(self, stage: Stage) -> None:
        """Everybody is in and has everything of their groups."""
        found = await trio.to_thread.run_sync(heads, stage.case.data)
        await self.lights.tell(do="reach", heads={str(conv): found[conv] for conv in self.convs})
        await self.lights.hear("reached", stage.options.patience)

    async def connections(self) -> int:
        """How many they have made so far."""
        await self.lights.tell(do="count")
        return int((await self.lights.hear("counted"))["connections"])
