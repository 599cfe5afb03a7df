//! Clients that order, cancel, refund and watch, and write down what they saw.
