"""What a statement of MariaDB changes, as the journal reads it; what is not known is refused."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

KNOWN = {
    "SESSION": (
        "SELECT 1",
        "  ( SELECT 1 )",
        "-- a comment\nSELECT 1",
        "SHOW TABLES",
        "SET FOREIGN_KEY_CHECKS=0",
        "/*!40014 SET FOREIGN_KEY_CHECKS=0 */",
        "/*M!100100 SET FOREIGN_KEY_CHECKS=0 */",
        "SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0",
        "SET SESSION lock_wait_timeout = 3",
        "WITH t AS (SELECT 'UPDATE' AS x) SELECT * FROM t",
        "SELECT 'it''s; DELETE FROM account'",
        "BEGIN",
        "# only a comment",
        "INSERT INTO alembic_log (revision) VALUES ('x')",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
    ),
    "VERSION": (
        "UPDATE alembic_version SET version_num='b' WHERE alembic_version.version_num = 'a'",
        "INSERT INTO alembic_version (version_num) VALUES ('a')",
        "DELETE FROM alembic_version WHERE alembic_version.version_num = 'a'",
    ),
    "DATA": (
        "INSERT INTO account VALUES (1)",
        "/* why */ UPDATE account SET cents = cents * 2",
        "/*!50000 UPDATE account SET cents = cents * 2 */",
        "SET STATEMENT max_statement_time=600 FOR UPDATE account SET cents = cents * 2",
        "WITH t AS (SELECT 1) DELETE FROM account WHERE id IN (SELECT * FROM t)",
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE account",
        "INSERT INTO account (name) VALUES ('LAST_INSERT_ID()')",
        "REPLACE INTO account VALUES (1)",
        "INSERT INTO copy SELECT * FROM alembic_version",
    ),
    "SCHEMA": (
        "CREATE TABLE t AS SELECT * FROM account",
        "ALTER TABLE account ADD COLUMN c INTEGER",
        "/*!50001 CREATE VIEW v AS SELECT 1 */",
        "RENAME TABLE a TO b",
        "TRUNCATE account",
        "ANALYZE TABLE account",
        "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.x = 1; SET NEW.y = 2; END",
        "CREATE TABLE `alembic versions; x` (id INTEGER)",
        "CREATE TABLE copy LIKE alembic_version",
        "ALTER TABLE account ADD SPATIAL INDEX (place);; -- the end",
    ),
}
REFUSED = {
    "BEGIN NOT ATOMIC UPDATE account SET cents = 0; END": "several statements in one",
    "CALL settle()": "what CALL does",
    "EXECUTE statement": "what EXECUTE does",
    "XA START 'x'": "what XA does",
    "HANDLER account OPEN": "what HANDLER does",
    "ANALYZE FORMAT=JSON UPDATE account SET cents = cents * 2": "what ANALYZE does",
    "SET @old = (SELECT cents FROM account WHERE id = 1)": "a user variable",
    "SELECT cents INTO @old FROM account": "INTO and := keep a value",
    "SELECT @n := 5": "INTO and := keep a value",
    "SELECT 1 INTO OUTFILE '/tmp/x'": "INTO and := keep a value",
    "INSERT INTO entry (account_id) VALUES (LAST_INSERT_ID())": "LAST_INSERT_ID()",
    "SET STATEMENT max_statement_time=1 FOR CALL settle()": "what CALL does",
    "UPDATE account SET cents = 1; UPDATE account SET cents = 2": "several statements in one",
    "UPDATE account SET cents = 1;; DELETE FROM account": "several statements in one",
    "SELECT settle(1)": "SETTLE is a stored function",
    "/*!40000 CALL settle() */": "what CALL does",
    "FLUSH TABLES": "what FLUSH does",
    "ALTER TABLE account EXCHANGE PARTITION p1 WITH TABLE other": "EXCHANGE PARTITION",
}


@pytest.fixture(scope="module")
def statements(root: Path) -> Any:
    sys.path.insert(0, str(root / "{{cookiecutter.project_slug}}"))
    from migrator.mariadb import statements

    return statements


@pytest.mark.parametrize(
    ("effect", "text"), [(effect, text) for effect, texts in KNOWN.items() for text in texts]
)
def test_a_statement_whose_effect_is_known(statements: Any, effect: str, text: str) -> None:
    assert statements.Reader({"SETTLE"}).effect_of(text).name == effect


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_a_statement_whose_effect_is_not_certain(statements: Any, text: str, why: str) -> None:
    with pytest.raises(statements.RefusedStatementError, match=re.escape(why)):
        statements.Reader({"SETTLE"}).effect_of(text)


def test_what_was_prepared_is_what_is_executed(statements: Any) -> None:
    reader = statements.Reader()
    assert reader.effect_of("PREPARE p FROM 'UPDATE a SET b = ''x'''").name == "SESSION"
    assert reader.executed("EXECUTE p") == "UPDATE a SET b = 'x'"
    assert reader.effect_of("EXECUTE p").name == "DATA"
    assert reader.effect_of("DEALLOCATE PREPARE p").name == "SESSION"
    reader.effect_of("PREPARE q FROM 'CALL settle()'")
    with pytest.raises(statements.RefusedStatementError):
        reader.effect_of("EXECUTE q")
