"""The faults, a module each; those of a cluster by what is hurt."""

from tools.faults.fault import Fault
from tools.faults.kinds.catchup import CatchUp
from tools.faults.kinds.chaos import Chaos
from tools.faults.kinds.clock import Clock
from tools.faults.kinds.cuts import CutFromBus, CutFromStore
from tools.faults.kinds.deaf import Deaf
from tools.faults.kinds.disk import Disk
from tools.faults.kinds.engines import NatsKill, NatsPause, PostgresKill, PostgresPause
from tools.faults.kinds.files import Files
from tools.faults.kinds.halfopen import HalfOpen
from tools.faults.kinds.kill import Kill
from tools.faults.kinds.nodes import NodeKill, NodePause, NodeRestart
from tools.faults.kinds.pause import Pause
from tools.faults.kinds.quota import Quota
from tools.faults.kinds.restore import Restore
from tools.faults.kinds.storm import Storm
from tools.faults.kinds.sync import Sync

ALL: tuple[type[Fault], ...] = (
    Kill, Pause, Files, Disk, Quota, Sync, Deaf, Storm, HalfOpen, Chaos, CatchUp, Restore, Clock,
    NodeKill, NodeRestart, NodePause, PostgresKill, PostgresPause, NatsKill, NatsPause, CutFromStore, CutFromBus,
)  # fmt: skip
