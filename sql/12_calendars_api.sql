-- Loading holidays, and what keeps shipped and loaded years apart.

-- A year that a user loads takes the place of the shipped one. That holds for a restored dump too, where only the
-- user's rows are loaded, in any order, over the rows that CREATE EXTENSION has just put there.
CREATE FUNCTION wf.replace_shipped_year() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    DELETE FROM wf.calendar_years AS y
     WHERE y.calendar = NEW.calendar AND y.year = NEW.year AND y.shipped;
    DELETE FROM wf.holidays AS h
     WHERE h.calendar = NEW.calendar AND h.shipped
       AND h.day BETWEEN make_date(NEW.year, 1, 1) AND make_date(NEW.year, 12, 31);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION wf.replace_shipped_year() FROM PUBLIC;
CREATE TRIGGER replace_shipped BEFORE INSERT ON wf.calendar_years
    FOR EACH ROW WHEN (NOT NEW.shipped) EXECUTE FUNCTION wf.replace_shipped_year();

CREATE FUNCTION wf.replace_shipped_holiday() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    DELETE FROM wf.holidays AS h WHERE h.calendar = NEW.calendar AND h.day = NEW.day AND h.shipped;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION wf.replace_shipped_holiday() FROM PUBLIC;
CREATE TRIGGER replace_shipped BEFORE INSERT ON wf.holidays
    FOR EACH ROW WHEN (NOT NEW.shipped) EXECUTE FUNCTION wf.replace_shipped_holiday();

-- Calendars are kept in memory by every process that works with dates; whoever changes one has them read anew.
CREATE FUNCTION wf._invalidate(relation regclass) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'invalidate_wrapper';
REVOKE ALL ON FUNCTION wf._invalidate(regclass) FROM PUBLIC;
CREATE FUNCTION wf._calendars_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM wf._invalidate('wf.calendars');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION wf._calendars_changed() FROM PUBLIC;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.calendars
    FOR EACH STATEMENT EXECUTE FUNCTION wf._calendars_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.calendar_years
    FOR EACH STATEMENT EXECUTE FUNCTION wf._calendars_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON wf.holidays
    FOR EACH STATEMENT EXECUTE FUNCTION wf._calendars_changed();
-- Also for what a subscription writes, and a restore as a replica.
ALTER TABLE wf.calendar_years ENABLE ALWAYS TRIGGER replace_shipped;
ALTER TABLE wf.holidays ENABLE ALWAYS TRIGGER replace_shipped;
ALTER TABLE wf.calendars ENABLE ALWAYS TRIGGER changed;
ALTER TABLE wf.calendar_years ENABLE ALWAYS TRIGGER changed;
ALTER TABLE wf.holidays ENABLE ALWAYS TRIGGER changed;

CREATE FUNCTION wf.load_holidays(
    calendar text, first_year integer, last_year integer, days date[], names text[] DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    stored integer;
    wrong  text;
BEGIN
    IF coalesce(load_holidays.calendar, '') = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'the calendar has no name',
            DETAIL = 'The argument "calendar" is null or empty.',
            HINT = 'Name the calendar that workflows refer to, such as ''NL''.';
    END IF;
    IF (first_year <= last_year AND first_year >= 1 AND last_year <= 9999) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('the years %s to %s are no range of years',
                coalesce(first_year::text, 'null'), coalesce(last_year::text, 'null')),
            DETAIL = 'Years run from 1 to 9999, and the first may not be after the last.',
            HINT = 'Give the first and the last year of the holidays, the same one twice for a single year.';
    END IF;
    IF days IS NULL OR EXISTS (SELECT 1 FROM unnest(days) AS d (day) WHERE d.day IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = CASE WHEN days IS NULL THEN 'the list of days is null' ELSE 'a day is null' END,
            DETAIL = 'Every holiday needs its date.',
            HINT = 'Leave the nulls out; an empty list says that these years have no holidays.';
    END IF;
    IF cardinality(names) <> cardinality(days) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s names for %s days', cardinality(names), cardinality(days)),
            DETAIL = 'The n-th name belongs to the n-th day.',
            HINT = 'Give one name for each day (null for a day without one), or no names at all.';
    END IF;
    SELECT string_agg(d.day::text, ', ' ORDER BY d.day) INTO wrong
      FROM unnest(days) AS d (day)
     WHERE d.day NOT BETWEEN make_date(first_year, 1, 1) AND make_date(last_year, 12, 31);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('days outside the years %s to %s', first_year, last_year),
            DETAIL = format('Outside: %s.', wrong),
            HINT = 'The holidays of these years are replaced as a whole: widen the years, or leave these days out.';
    END IF;
    SELECT string_agg(d.day::text, ', ' ORDER BY d.day) INTO wrong
      FROM (SELECT u.day FROM unnest(days) AS u (day) GROUP BY u.day HAVING count(*) > 1) AS d;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a day is given more than once',
            DETAIL = format('More than once: %s.', wrong),
            HINT = 'Give each day once.';
    END IF;

    INSERT INTO wf.calendars (calendar) VALUES (load_holidays.calendar) ON CONFLICT DO NOTHING;
    -- Two who load the same calendar do so one after the other.
    PERFORM 1 FROM wf.calendars AS c WHERE c.calendar = load_holidays.calendar FOR UPDATE;
    DELETE FROM wf.holidays AS h
     WHERE h.calendar = load_holidays.calendar
       AND h.day BETWEEN make_date(first_year, 1, 1) AND make_date(last_year, 12, 31);
    DELETE FROM wf.calendar_years AS y
     WHERE y.calendar = load_holidays.calendar AND y.year BETWEEN first_year AND last_year;
    INSERT INTO wf.calendar_years (calendar, year)
        SELECT load_holidays.calendar, y.year FROM generate_series(first_year, last_year) AS y (year);
    INSERT INTO wf.holidays (calendar, day, name)
        SELECT load_holidays.calendar, d.day, d.name FROM unnest(days, names) AS d (day, name);
    GET DIAGNOSTICS stored = ROW_COUNT;
    RETURN stored;
END
$$;
REVOKE ALL ON FUNCTION wf.load_holidays(text, integer, integer, date[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION wf.load_holidays(text, integer, integer, date[], text[]) IS
    'Loads the holidays of some years into a working calendar, creating it if need be (closed on Saturday and Sunday). '
    'Replaces what the calendar had for these years, which are known from then on. Returns the number of holidays.';
COMMENT ON TABLE wf.calendars IS 'Working calendars and the weekdays (ISO, 1 is Monday) on which they are closed.';
COMMENT ON TABLE wf.calendar_years IS
    'The years whose holidays a calendar knows. Dates in any other year are an error, never a year without holidays.';
COMMENT ON TABLE wf.holidays IS 'The days on which a calendar is closed besides its weekdays. Load them with wf.load_holidays.';
