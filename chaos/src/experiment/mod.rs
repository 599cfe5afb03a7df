//! Experiments as data: load, faults with their schedule, what must hold.
