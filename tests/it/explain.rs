//! Rule 4.11, by hand: every kind of path, policy result and near miss.
