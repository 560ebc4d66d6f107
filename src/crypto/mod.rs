//! Who says it: keys, DSSE, signed notes, checkpoints, cosignatures.
