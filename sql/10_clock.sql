-- The engine's clock. No row: real time. One row: the time that a test has frozen it at.
CREATE TABLE wf.clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    frozen_at timestamptz NOT NULL
);

-- STABLE, so that one statement sees one time. Everything in the extension that asks for the time asks here.
CREATE FUNCTION wf.now() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce((SELECT c.frozen_at FROM wf.clock AS c), pg_catalog.now()) $$;

-- Working calendars. A year counts as known only when it stands in calendar_years: a year without a row is an
-- error at publish time and an incident at run time, never "no holidays".
CREATE TABLE wf.calendars (
    calendar    text PRIMARY KEY CHECK (calendar <> ''),
    description text,
    closed_weekdays smallint[] NOT NULL DEFAULT '{6,7}'
        CHECK (closed_weekdays <@ '{1,2,3,4,5,6,7}'::smallint[] AND cardinality(closed_weekdays) < 7),
    shipped     boolean NOT NULL DEFAULT false
);
CREATE TABLE wf.calendar_years (
    calendar text NOT NULL REFERENCES wf.calendars ON DELETE CASCADE,
    year     smallint NOT NULL,
    shipped  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (calendar, year)
);
CREATE TABLE wf.holidays (
    calendar text NOT NULL REFERENCES wf.calendars ON DELETE CASCADE,
    day      date NOT NULL,
    name     text,
    shipped  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (calendar, day)
);
