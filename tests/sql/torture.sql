-- What the model-checked run works on and keeps besides: an ERP table with every version that a row ever had, the calls
-- that clients made, and a trace of everything that the engine wrote about cases. All of it commits or vanishes with
-- the transaction that it is about. One sequence numbers it: whoever writes about a case has it locked, so the numbers
-- give the order of the transactions on each case.
CREATE SEQUENCE public.nth;

CREATE TABLE public.job (
    id       bigint PRIMARY KEY,
    flow     integer NOT NULL,
    state    text NOT NULL,
    ready_at timestamptz,
    c1       boolean,
    c2       boolean,
    email    text,
    touched  integer NOT NULL DEFAULT 0,   -- how often update steps have written it
    v        integer NOT NULL DEFAULT 1    -- the version of the row
);
CREATE TABLE public.job_version (
    id   bigint NOT NULL,
    v    integer NOT NULL,
    job  jsonb,                            -- null: deleted
    PRIMARY KEY (id, v)
);
CREATE FUNCTION public.job_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.v := OLD.v + 1;
    RETURN NEW;
END $$;
CREATE FUNCTION public.job_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO public.job_version VALUES (OLD.id, OLD.v + 1, NULL);
    ELSE
        INSERT INTO public.job_version VALUES (NEW.id, NEW.v, pg_catalog.to_jsonb(NEW));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER counted BEFORE UPDATE ON public.job FOR EACH ROW EXECUTE FUNCTION public.job_counted();
CREATE TRIGGER kept AFTER INSERT OR UPDATE OR DELETE ON public.job FOR EACH ROW EXECUTE FUNCTION public.job_kept();

-- What clients did: a row is there exactly if the call has committed.
CREATE TABLE public.call (
    nth     bigint PRIMARY KEY DEFAULT nextval('public.nth'),
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at      timestamptz NOT NULL DEFAULT now(),
    client  integer NOT NULL,
    number  integer NOT NULL,              -- of this client
    case_id bigint,                        -- null: not about one case
    call    jsonb NOT NULL
);
-- What reached the provider and was acknowledged.
CREATE TABLE public.provider (
    message_id bigint NOT NULL,
    key        text NOT NULL,
    report     text NOT NULL
);

CREATE TABLE public.trace (
    nth     bigint PRIMARY KEY DEFAULT nextval('public.nth'),
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at      timestamptz NOT NULL DEFAULT now(),
    case_id bigint NOT NULL,
    what    text NOT NULL,                 -- the table
    op      text NOT NULL,
    it      jsonb NOT NULL,                -- the row
    upto    integer                        -- the newest version of the case's job that the transaction can have seen
);
CREATE INDEX trace_case ON public.trace (case_id, nth);
CREATE INDEX call_case ON public.call (case_id, nth);
CREATE FUNCTION public.traced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    it jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN it := pg_catalog.to_jsonb(OLD); ELSE it := pg_catalog.to_jsonb(NEW); END IF;
    INSERT INTO public.trace (case_id, what, op, it, upto)
    VALUES ((it ->> 'case_id')::bigint, TG_ARGV[0], TG_OP, it,
            (SELECT v.v FROM public.job_version AS v
             WHERE v.id = (SELECT c.key::bigint FROM wf.cases AS c WHERE c.case_id = (it ->> 'case_id')::bigint)
             ORDER BY v.v DESC LIMIT 1));
    RETURN NULL;
END $$;
CREATE TRIGGER traced AFTER INSERT OR UPDATE ON wf.cases
    FOR EACH ROW EXECUTE FUNCTION public.traced('cases');
CREATE TRIGGER traced AFTER INSERT OR UPDATE OR DELETE ON wf.case_steps
    FOR EACH ROW EXECUTE FUNCTION public.traced('case_steps');
CREATE TRIGGER traced AFTER INSERT OR DELETE ON wf.tasks
    FOR EACH ROW EXECUTE FUNCTION public.traced('tasks');
CREATE TRIGGER traced AFTER INSERT ON wf.history
    FOR EACH ROW EXECUTE FUNCTION public.traced('history');
CREATE TRIGGER traced AFTER INSERT ON wf.notes
    FOR EACH ROW EXECUTE FUNCTION public.traced('notes');
CREATE TRIGGER traced AFTER INSERT ON wf.outbox
    FOR EACH ROW EXECUTE FUNCTION public.traced('outbox');
-- Reports of senders, which are made under the case's lock; leases are not.
CREATE TRIGGER reported AFTER UPDATE ON wf.outbox FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND NEW.state IN ('sent', 'delivered', 'bounced', 'dead'))
    EXECUTE FUNCTION public.traced('outbox');
CREATE TRIGGER traced AFTER INSERT ON wf.holds
    FOR EACH ROW EXECUTE FUNCTION public.traced('holds');
CREATE TRIGGER released AFTER UPDATE ON wf.holds FOR EACH ROW
    WHEN (OLD.released_at IS NULL AND NEW.released_at IS NOT NULL)
    EXECUTE FUNCTION public.traced('holds');
