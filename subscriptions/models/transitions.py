"""A constraint that lets a status move only as its table says: the database refuses what the code would refuse."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db import models

FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    move text := NEW.{column};
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.{column} = OLD.{column} THEN
            RETURN NULL;
        END IF;
        move := OLD.{column} || ' to ' || NEW.{column};
    END IF;
    IF NOT move = ANY (ARRAY[{moves}]::text[]) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', CONSTRAINT = '{name}', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
            MESSAGE = 'transition "' || move || '" violates "{name}"';
    END IF;
    RETURN NULL;
END;
$body$
"""
TRIGGER = """
CREATE TRIGGER {function} AFTER INSERT OR UPDATE OF {column} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()
"""


class OnlyTransitions(models.BaseConstraint):
    """The status begins as one of `beginnings` and moves only along `transitions`; what stays equal does not move.

    It is part of the model's state, so a changed table without its migration fails `makemigrations --check`.
    """

    def __init__(
        self, *, name: str, field: str, beginnings: Collection[str], transitions: Mapping[str, Collection[str]]
    ) -> None:
        super().__init__(name=name)
        self.field = field
        self.beginnings = sorted(str(status) for status in beginnings)
        self.transitions = {
            str(before): sorted(str(after) for after in afters) for before, afters in transitions.items()
        }

    def deconstruct(self) -> Any:
        """What a migration writes down."""
        path, arguments, keywords = super().deconstruct()
        own = {"field": self.field, "beginnings": self.beginnings, "transitions": self.transitions}
        return path, arguments, {**keywords, **own}

    def __eq__(self, other: object) -> bool:
        """Alike when a migration would write the same down."""
        if isinstance(other, OnlyTransitions):
            return bool(self.deconstruct() == other.deconstruct())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like Django's own constraints

    def create_sql(self, model: Any, schema_editor: Any) -> str:
        """The function and its trigger."""
        moves = [
            *self.beginnings,
            *(f"{before} to {after}" for before, afters in self.transitions.items() for after in afters),
        ]
        return f"{FUNCTION};{TRIGGER}".format(
            function=schema_editor.quote_name(self.name),
            table=schema_editor.quote_name(model._meta.db_table),
            column=schema_editor.quote_name(model._meta.get_field(self.field).column),
            moves=", ".join(f"'{move}'" for move in moves),
            name=self.name,
        )

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Nothing inside CREATE TABLE; the trigger is made once the table is there."""
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def remove_sql(self, model: Any, schema_editor: Any) -> str:
        """Both gone."""
        function = schema_editor.quote_name(self.name)
        table = schema_editor.quote_name(model._meta.db_table)
        return f"DROP TRIGGER {function} ON {table}; DROP FUNCTION {function}()"

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = "default") -> None:
        """Nothing to say about one row alone: a move has a before and an after."""
