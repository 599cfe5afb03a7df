//! The platform under test: PostgreSQL, brokers and the services, as processes that can be killed one by one.
