//! A TCP proxy that can delay, throttle, cut, half-open and black-hole what passes through it.
