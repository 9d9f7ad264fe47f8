//! Tables that a gather reads.

/// Vector that are looked up by their places; never empty.
#[derive(Debug)]
pub(in crate::compile) struct Table<T> {
    /// One more follows the last, since a gather reads 32 bits.
    pub(super) cells: Vec<T>,
}

impl<T: Copy + Default> Table<T> {
    pub(in crate::compile) fn new(mut cells: Vec<T>) -> Self {
        cells.reserve_exact(2);
        if cells.is_empty() {
            cells.push(T::default());
        }
        cells.push(T::default());
        cells.shrink_to_fit();
        Self { cells }
    }

    /// The last position, which fits in an `i32`, as a gather takes it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "otherwise it would be a call")]
    pub(in crate::compile) fn last(&self) -> u32 {
        i32::try_from(self.cells.len()).unwrap_or(i32::MAX).cast_unsigned().saturating_sub(2)
    }

    /// The numbers.
    pub(in crate::compile) fn numbers(&self) -> &[T] {
        self.cells.split_last().map_or(&[], |(_, numbers)| numbers)
    }

    /// The numbers, to be changed.
    pub(in crate::compile) fn numbers_mut(&mut self) -> &mut [T] {
        self.cells.split_last_mut().map_or(&mut [], |(_, numbers)| numbers)
    }

    /// The cost of a gather from it.
    pub(in crate::compile) fn cost(&self) -> usize {
        gather_cost(self.memory_usage())
    }

    pub(in crate::compile) fn memory_usage(&self) -> usize {
        size_of_val(self.cells.as_slice())
    }
}

/// The cost of a gather from a table of so many bytes, by the cache that it fits in, in units of about 0.05 ns.
pub(in crate::compile) fn gather_cost(bytes: usize) -> usize {
    3 + (bytes >> 14).max(1).ilog2() as usize
}
