-- A sender: lease, hand over (here: to nobody), acknowledge. Lease and acknowledgement are transactions of their own.

SELECT coalesce(array_agg(message_id), '{}') AS leased
FROM wf.lease_messages(max_messages => 10000, sender => 'demo sender')
\gset
SELECT wf.ack_messages(:'leased'::bigint[]);
CALL wf.run_due();
