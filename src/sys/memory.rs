//! Keeping a long-lived server small: how the C library's allocator gives memory back.

/// Tunes the allocator of this process for a server of few threads that must stay small.
///
/// By default glibc gives every thread an arena of its own and, once a large block was freed,
/// serves blocks up to that size from the heap, where they are kept for ever. Few arenas and fixed
/// thresholds return large buffers to the system as soon as they are freed. Call it before threads
/// start; where the C library is not glibc it does nothing.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 2),
        (libc::M_MMAP_THRESHOLD, 256 * 1024),
        (libc::M_TRIM_THRESHOLD, 512 * 1024),
    ] {
        // SAFETY: mallopt only stores a number, under the allocator's own lock; a refused
        // parameter changes nothing.
        unsafe { libc::mallopt(parameter, value) };
    }
}
