//! Durable memory: the `Store` seam and sled behind it.
