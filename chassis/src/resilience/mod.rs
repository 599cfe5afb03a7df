//! Wrappers for every synchronous call: deadline, bulkhead, breaker, limiter, budgeted retry.
