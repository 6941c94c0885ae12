//! A message from a forked child to its parent through shared memory.
//!
//! Unlike a pipe it is no descriptor, which would be open in a process that must have none, and it
//! never fills up: what is too long is cut.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bytes of the longest message.
const CAPACITY: usize = 4096 - size_of::<usize>();

/// What stands in place of the rest.
const CUT: &str = "...";

#[repr(C)]
struct Page {
    length: AtomicUsize,
    bytes: [AtomicU8; CAPACITY],
}

/// Room for one message, shared with every process that is forked while this lives.
#[derive(Debug)]
pub struct Message(NonNull<Page>);

impl Message {
    /// An empty one.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> io::Result<Self> {
        let (length, access) = (size_of::<Page>(), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: at a place that the kernel chooses, so over nothing that is in use.
        let page =
            unsafe { mmap_anonymous(std::ptr::null_mut(), length, access, MapFlags::SHARED) }?;
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped and zeroed by the kernel, which is a valid page, until this is dropped. All of
        // it is atomic, so another process may write to it meanwhile.
        unsafe { self.0.as_ref() }
    }

    /// Leaves a message, in the place of an earlier one.
    pub fn put(&self, text: &str) {
        let fits = |end: &usize| text.is_char_boundary(*end);
        let (kept, end) = match text.len() <= CAPACITY {
            true => (text, ""),
            false => {
                let last = (0..=CAPACITY - CUT.len()).rev().find(fits).unwrap_or_default();
                (&text[..last], CUT)
            }
        };
        let page = self.page();
        for (to, from) in page.bytes.iter().zip(kept.bytes().chain(end.bytes())) {
            to.store(from, Ordering::Relaxed);
        }
        page.length.store(kept.len() + end.len(), Ordering::Release);
    }

    /// What was left; empty when nothing was.
    pub fn get(&self) -> String {
        let page = self.page();
        let length = page.length.load(Ordering::Acquire).min(CAPACITY);
        let bytes = page.bytes[..length].iter().map(|byte| byte.load(Ordering::Relaxed));
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no reference into it outlives `self`.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<Page>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_is_kept_and_cut_to_the_page() {
        let message = Message::new().expect("a page");
        assert_eq!(message.get(), "");
        message.put("short");
        assert_eq!(message.get(), "short");
        message.put(&"\u{e9}".repeat(1 << 20));
        let text = message.get();
        assert!(text.len() <= CAPACITY && text.ends_with("\u{e9}..."), "{}", text.len());
    }
}
