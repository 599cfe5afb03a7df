//! Payments: authorisation, capture, refund, provider webhooks, a double-entry ledger; and the provider simulator.
