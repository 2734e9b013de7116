//! Rules 5 and 6.
