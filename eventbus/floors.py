"""Below which id an owned bucket of the outbox holds nothing any more, so that a fetch can begin there.

Deleted rows stay in the index while any transaction holds an old snapshot, and a fetch from the lowest id would pass
over all of them. It may begin higher only where no row can appear any more: an id is drawn before its row can be seen,
and a transaction that drew a low one may commit late. So a floor is raised in three steps, each after the one before:

1. a round has deleted every row it read of a bucket, up to some id;
2. the next transaction id, `pg_snapshot_xmax`, is read: whoever drew an id below that one has an older one;
3. `pg_snapshot_xmin` has passed it, so all of them have ended, and a later fetch has read, and its round has deleted,
   whatever they left below that id.

It rests on every writer having its transaction id before it draws the row's id, which `publish()` sees to. A round that
left something lying (a held key, a topic that is left alone, a failure) raises nothing: floors stay below what waits.
"""

from collections.abc import Mapping, Sequence

from eventbus.messages import Row


class Floors:
    """The floors of the buckets that one relay holds; a new lease of a bucket begins without one."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._floors: dict[int, int] = {}
        self._emptied: dict[int, int] = {}  # bucket: the id up to which a round has deleted everything it read
        self._candidates: dict[int, tuple[int, int]] = {}  # bucket: (that id, the next transaction id afterwards)
        self._oldest = 0  # every transaction with a smaller id had ended when the snapshot was last looked at

    def above(self, owned: Mapping[int, int]) -> list[int]:
        """For each owned bucket (with its lease's epoch) the id above which to read."""
        if owned != self._epochs:
            for bucket in [bucket for bucket, epoch in self._epochs.items() if owned.get(bucket) != epoch]:
                for known in (self._floors, self._emptied, self._candidates):
                    known.pop(bucket, None)
            self._epochs = dict(owned)
        return [self._floors.get(bucket, 0) for bucket in owned]

    def forget(self) -> None:
        """Begin without any, as after a new connection: another server may have taken this one's place."""
        for known in (self._epochs, self._floors, self._emptied, self._candidates):
            known.clear()

    def look(self, oldest: int, following: int) -> None:
        """A snapshot's xmin and xmax, read before the next fetch."""
        self._oldest = oldest
        for bucket, row_id in self._emptied.items():
            self._candidates.setdefault(bucket, (row_id, following))
        self._emptied.clear()

    def emptied(self, rows: Sequence[Row], limit: int) -> None:
        """The first round after a look deleted all it read: at most `limit` rows of each bucket, the lowest."""
        counts: dict[int, int] = {}
        highest: dict[int, int] = {}
        for row in rows:
            counts[row.bucket] = counts.get(row.bucket, 0) + 1
            highest[row.bucket] = row.id
        for bucket, (row_id, following) in list(self._candidates.items()):
            was_read = counts.get(bucket, 0) < limit or highest[bucket] >= row_id
            if self._oldest >= following and was_read:
                self._floors[bucket] = row_id
                del self._candidates[bucket]
        self._emptied.update({bucket: row_id for bucket, row_id in highest.items() if bucket not in self._candidates})
