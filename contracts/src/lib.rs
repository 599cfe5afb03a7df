//! What crosses a boundary between services, and nothing else: events, topics, typed ids, money.
