//! The one public door: routing, authentication, limits, breakers, balancing, websocket and SSE pass-through.
