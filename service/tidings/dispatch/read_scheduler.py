"""Shares the event loop among the peers whose bytes are read: users, and addresses before sign-in.

Reading is all that a peer's bytes cause before the loop looks at the others: cutting frames, unmasking, inflating,
metadata, decoding, handlers that do not wait. What handlers do later, in tasks, is charged ahead
(`AUTHENTICATION_COST_SECONDS` and its like, `MethodBinding.deferred_seconds`).

What is sent to one reader alone is shared in the same way: items of a stream that catches up (history, a snapshot, the
log behind a watch) are encoded and compressed in small steps, measured, and charged to the reader's user. When the turn
is over, its streams wait like its connections (`may_send`), one step in each round. Live items, which all readers of a
room share, are neither charged nor delayed.

Opening and ending a stream may cost much besides: a watch of a thousand names, all streams of a connection that was
lost. It is done in `later` steps, one queue for each budget, in the same line and in the order in which they were
asked for. Each step is measured; as many are done in one turn as it has time for, and what cannot be divided, as the
names of one request, is one step. So the streams of a user may take long to open, and others do not notice.

Each user has a `ReadBudget` for all connections together, and so has each address for those that are not signed in:

    turn      in one round of the loop a budget reads for `read_slice_ms`; then its connections stop reading their
              sockets, and wait for their turn in the next rounds, one after the other
    round     all budgets that wait read for `read_round_ms` together before the loop looks at new bytes
    balance   a token bucket of processor time, `…_cpu_ms_per_second_max` with `cpu_burst_ms_max`;
              an overdrawn budget reads nothing until it is positive again

The unit is seconds of the loop's thread, measured as time that passed. A piece of work that has begun is never
interrupted: a budget may be overdrawn by one chunk of bytes (`websocket.frames.CHUNK_BYTES`) or one frame, whichever
takes
longer. So nothing is decoded for a budget in debt, and a debt is short (`DEBT_SECONDS_MAX`): keepalives live through
every pause.

The invariant: `is_open` is True exactly if a connection of the budget may read what has just come. Light users never
leave that state, and cost two looks at the clock for each read.

It protects from peers that make the service work, not from ones that only make it receive: the kernel's part of a read,
TLS, and the HTTP server are not in it.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from tidings.log import log
from tidings.server.settings import ConnectionLimits

# What is worth settling: below it, the use of several rounds counts as that of one.
SETTLE_SECONDS: Final = 0.0002
# Budgets without connections that are remembered until they would be full again.
IDLE_BUDGETS_MAX: Final = 10_000

# The most that a budget may be overdrawn. One chunk or frame takes milliseconds; a measurement of more than this means
# that the process was stopped or the machine was busy, which is no reason to pause a user for minutes.
DEBT_SECONDS_MAX: Final = 0.5

# Work that is charged when it is asked for, since it is done later. Measured beside an idle service, rounded up.
AUTHENTICATION_COST_SECONDS: Final = 0.0002  # a token's signature, and what follows from it
CONNECTION_COST_SECONDS: Final = 0.0002  # accepting, the handshake, the objects of a connection
CALL_COST_SECONDS: Final = 0.00005  # of a handler that answers with a future: the store's answer, the reply
TASK_COST_SECONDS: Final = 0.0001  # of a handler that is a coroutine: all of it, a token's signature at the worst
STEP_COST_SECONDS: Final = 0.00002  # of a stream, beside encoding: the callback, the batch, the write
WATCH_COST_SECONDS: Final = 0.00002  # what of a watch is not measured: the callbacks of its task, its place in the hub
CHANNEL_COST_SECONDS: Final = 0.0001  # the tasks and subscriptions of a channel
COMMAND_COST_SECONDS: Final = 0.00005  # of a channel


class Schedulable(Protocol):
    """A connection that has bytes left to read, or a stream that has items left to encode."""

    def run_slice(self) -> bool:
        """It is your turn. May call `ReadScheduler.wait` again. True: the work follows in a later callback.

        Then this is the only one of its budget in this round: what it costs is not known yet.
        """

    def abort(self) -> None:
        """Close the connection: `run_slice` raised."""


class ReadBudget:
    """Processor time of one user or address. Add to `used_seconds` what was spent; `is_open` says whether more may
    be."""

    __slots__ = (
        "_balance_seconds",
        "_settled_at",
        "connection_count",
        "deferred_steps",
        "granted_to",
        "incomplete_bytes",
        "is_open",
        "is_overdrawn",
        "is_queued",
        "is_unsettled",
        "kind",
        "name",
        "used_seconds",
        "waiting",
    )

    def __init__(self, kind: str, name: str, now: float, balance_seconds: float) -> None:
        self.kind = kind  # "user" or "address"
        self.name = name
        self.connection_count = 0
        self.used_seconds = 0.0  # seconds since it was settled
        self.is_open = True
        self.is_unsettled = False  # will be settled in the next round
        self.is_overdrawn = False
        self.is_queued = False
        self.waiting: dict[Schedulable, None] = {}
        self.deferred_steps: DeferredSteps | None = None  # that wait for their turn
        self.granted_to: Schedulable | None = None  # whose work follows in a later callback; it may begin one step
        self.incomplete_bytes = 0  # of frames and payloads that have not come to their end
        self._balance_seconds = balance_seconds
        self._settled_at = now

    def settle(self, now: float, rate: float, burst_seconds: float) -> float:
        """Seconds that are left at `now`, `used_seconds` taken off."""
        earned = self._balance_seconds + (now - self._settled_at) * rate
        self._balance_seconds = max(-DEBT_SECONDS_MAX, min(burst_seconds, earned) - self.used_seconds)
        self._settled_at = now
        self.used_seconds = 0.0
        return self._balance_seconds


class DeferredSteps:
    """The `later` steps of one budget. Counts as one of its connections while there are any."""

    __slots__ = ("_budget", "_scheduler", "queue")

    def __init__(self, scheduler: "ReadScheduler", budget: ReadBudget) -> None:
        self._scheduler = scheduler
        self._budget = budget
        self.queue: deque[Callable[[], object]] = deque()

    def run_slice(self) -> bool:
        """Do steps, one at least, until the turn is over."""
        scheduler, budget, queue = self._scheduler, self._budget, self.queue
        clock, turn_seconds = scheduler.clock, scheduler.slice_seconds
        while queue:
            started_at = clock()
            try:
                queue.popleft()()
            except Exception:
                log.exception("opening or ending a stream failed")
            budget.used_seconds += clock() - started_at
            if budget.used_seconds >= turn_seconds:
                break
        if queue:
            scheduler.wait(budget, self)
        else:
            budget.deferred_steps = None
            scheduler.release(budget, self)
        return False

    def abort(self) -> None:
        """Never needed: a step that raises is logged, and the next one follows."""


class ReadScheduler:
    """The budgets of one service, and whose turn it is. `call_soon` and `call_later` are the loop's."""

    def __init__(
        self,
        limits: ConnectionLimits,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], Any],
        call_later: Callable[..., Any],
    ) -> None:
        self.slice_seconds = limits.read_slice_ms / 1000
        self._round_seconds = limits.read_round_ms / 1000
        self._burst_seconds = limits.cpu_burst_ms_max / 1000
        self._rates = {
            "user": limits.user_cpu_ms_per_second_max / 1000,
            "address": limits.address_cpu_ms_per_second_max / 1000,
        }
        self.clock = clock
        self._call_soon = call_soon
        self._call_later = call_later
        self._budgets: dict[tuple[str, str], ReadBudget] = {}
        self._idle: OrderedDict[ReadBudget, float] = OrderedDict()  # budget → when it is full again
        self._unsettled: list[ReadBudget] = []
        self._ready: deque[ReadBudget] = deque()
        self._is_scheduled = False
        self.preemptions: Counter[str] = Counter()  # turns that ended with work left, by kind of budget
        self.throttles: Counter[str] = Counter()  # times that a budget was overdrawn, by kind

    # --- whose it is --------------------------------------------------------------------------------------------

    def acquire(self, kind: str, name: str) -> ReadBudget:
        """The budget of one more connection of this user or address."""
        budget = self._budgets.get((kind, name))
        if budget is None:
            budget = self._budgets[kind, name] = ReadBudget(kind, name, self.clock(), self._burst_seconds)
        self._idle.pop(budget, None)
        budget.connection_count += 1
        return budget

    def release(self, budget: ReadBudget, reader: Schedulable) -> None:
        """A connection has ended, or belongs to another budget now. What was spent is remembered for a while."""
        budget.waiting.pop(reader, None)
        self.release_connection(budget)

    def release_connection(self, budget: ReadBudget) -> None:
        """Like `release`, for what does not wait for turns itself."""
        budget.connection_count -= 1
        if budget.connection_count:
            return
        now, rate = self.clock(), self._rates[budget.kind]
        missing = self._burst_seconds - budget.settle(now, rate, self._burst_seconds) if rate else 0.0
        if missing <= 0 and not budget.is_overdrawn:
            del self._budgets[budget.kind, budget.name]
            return
        self._idle[budget] = now + missing / rate
        while self._idle:
            oldest, full_at = next(iter(self._idle.items()))
            if full_at > now and len(self._idle) <= IDLE_BUDGETS_MAX:
                break
            del self._idle[oldest], self._budgets[oldest.kind, oldest.name]

    def count_overdrawn(self) -> dict[str, float]:
        """How many budgets are overdrawn now, by kind."""
        counts = dict.fromkeys(self._rates, 0.0)
        for budget in self._budgets.values():
            counts[budget.kind] += budget.is_overdrawn
        return counts

    # --- whose turn it is ---------------------------------------------------------------------------------------

    def on_time_used(self, budget: ReadBudget) -> None:
        """`used_seconds` has grown to `SETTLE_SECONDS` or more."""
        if not budget.is_unsettled:
            budget.is_unsettled = True
            self._unsettled.append(budget)
            self._schedule()
        if budget.used_seconds >= self.slice_seconds:
            budget.is_open = False

    def charge(self, budget: ReadBudget, seconds: float) -> None:
        """So much was spent outside of reading: on what is sent."""
        budget.used_seconds += seconds
        if budget.used_seconds >= SETTLE_SECONDS:
            self.on_time_used(budget)

    def may_send(self, budget: ReadBudget, reader: Schedulable) -> bool:
        """Whether a stream may encode its next items now; if not, `reader.read_on` is called when it may."""
        granted = budget.granted_to
        if granted is reader:
            return True
        # While another one has the turn, even unused: its step would come in the same round.
        if granted is None and not budget.is_overdrawn and budget.used_seconds < self.slice_seconds:
            return True
        if reader not in budget.waiting:
            self.wait(budget, reader)
        return False

    def cancel_wait(self, budget: ReadBudget, reader: Schedulable) -> None:
        """It has nothing left to send. Idempotent."""
        budget.waiting.pop(reader, None)
        if budget.granted_to is reader:
            budget.granted_to = None

    def wait(self, budget: ReadBudget, reader: Schedulable) -> None:
        """Call `reader.read_on` when it is its turn; other connections of the budget wait behind it. Idempotent."""
        self.preemptions[budget.kind] += 1
        self._add_waiting(budget, reader)

    def defer(self, budget: ReadBudget, step: Callable[[], object]) -> None:
        """Do `step` in the turn of the budget, after all that were given before it."""
        steps = budget.deferred_steps
        if steps is None:
            # Its connections may have left, and new ones come, since the caller got it.
            budget = self.acquire(budget.kind, budget.name)
            if budget.deferred_steps is None:
                steps = budget.deferred_steps = DeferredSteps(self, budget)
                self._add_waiting(budget, steps)
            else:
                steps = budget.deferred_steps
                budget.connection_count -= 1  # they are counted already
        steps.queue.append(step)

    def _add_waiting(self, budget: ReadBudget, reader: Schedulable) -> None:
        budget.waiting[reader] = None
        budget.is_open = False
        self._enqueue(budget)

    def _enqueue(self, budget: ReadBudget) -> None:
        if budget.waiting and not budget.is_queued and not budget.is_overdrawn:
            budget.is_queued = True
            self._ready.append(budget)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._run_round)

    def _run_round(self) -> None:
        """One round of the loop: settle what was spent in the last one, then let those read who wait."""
        self._is_scheduled = False
        now = self.clock()
        unsettled, self._unsettled = self._unsettled, []
        for budget in unsettled:
            budget.is_unsettled = False
            self._settle(budget, now)
        ends_at = now + self._round_seconds
        for _ in range(len(self._ready)):
            budget = self._ready.popleft()
            budget.is_queued = False
            if not budget.is_overdrawn and self._run_slice(budget):
                ends_at -= self.slice_seconds
            if self.clock() >= ends_at:
                break
        if self._ready:
            self._schedule()

    def _run_slice(self, budget: ReadBudget) -> bool:
        """Let the connections of a budget read, one after the other, until its turn is over.

        True: one of them uses the turn in a later callback.
        """
        budget.is_queued = True  # who waits again does so for the next turn
        is_deferred = False
        for reader in list(budget.waiting):
            if is_deferred or budget.used_seconds >= self.slice_seconds:
                break
            if reader in budget.waiting:
                del budget.waiting[reader]
                try:
                    is_deferred = reader.run_slice()
                except Exception:
                    log.exception("reading from a connection failed")
                    reader.abort()
        budget.is_queued = False
        self._enqueue(budget)
        if budget.used_seconds:
            self.on_time_used(budget)
        budget.is_open = not budget.waiting and not budget.is_overdrawn and budget.used_seconds < self.slice_seconds
        return is_deferred

    def _settle(self, budget: ReadBudget, now: float) -> None:
        rate = self._rates[budget.kind]
        balance = budget.settle(now, rate, self._burst_seconds)
        if rate and balance < 0 and not budget.is_overdrawn:
            # Until there is enough for one turn, so that it does not begin and end with each frame.
            budget.is_overdrawn = True
            self.throttles[budget.kind] += 1
            self._call_later((self.slice_seconds - balance) / rate, self._end_throttling, budget)
        budget.is_open = not budget.waiting and not budget.is_overdrawn

    def _end_throttling(self, budget: ReadBudget) -> None:
        """An overdrawn budget should be positive again."""
        budget.is_overdrawn = False
        self._settle(budget, self.clock())
        self._enqueue(budget)
