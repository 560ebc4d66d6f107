//! What is said: names, ids, headers, bodies and their rules. No I/O, no clock.
