/// A half.
