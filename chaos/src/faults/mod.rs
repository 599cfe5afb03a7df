//! Makes the steps of a schedule happen.
