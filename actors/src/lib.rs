//! Supervised actors on actix: panics contained, restarts with backoff and intensity, routers of entity actors, bounded asks.
