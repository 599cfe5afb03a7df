//! What is seen, and that no key does harm.
