-- The W3C trace context of the call that a webhook tells of, so that it belongs to the same trace.
alter table deliveries add column traceparent text;
