//! The path: submit → push → mirror → settle.
