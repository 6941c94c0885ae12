//! Small numbers from a forked child to its parent, which may wait for them, through shared memory:
//! unlike a pipe this is no descriptor, which would be open in a process that must have none.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::thread::futex;

/// How many places there are for numbers.
const PLACES: usize = 2;

#[repr(C)]
struct Page {
    rung: AtomicU32,
    places: [AtomicU32; PLACES],
}

/// Shared with every process that is forked while this lives.
#[derive(Debug)]
pub struct Bell(NonNull<Page>);

impl Bell {
    /// A silent one.
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
        // SAFETY: mapped and zeroed by the kernel, which is a valid page, until this is dropped; all
        // of it is atomic, so another process may write to it meanwhile.
        unsafe { self.0.as_ref() }
    }

    /// Leaves `number`, which is not 0, at a place, over one that nobody has taken yet, and wakes who
    /// waits. Does nothing at a place that there is not.
    pub fn ring(&self, place: usize, number: u32) {
        let page = self.page();
        let Some(slot) = page.places.get(place) else { return };
        slot.store(number, Ordering::Release);
        page.rung.fetch_add(1, Ordering::Release);
        // Nobody may be waiting yet.
        let _ = futex::wake(&page.rung, futex::Flags::empty(), 1);
    }

    /// Takes a number that lies there: its place and itself.
    #[must_use]
    pub fn take(&self) -> Option<(usize, u32)> {
        let taken = self.page().places.iter().map(|place| place.swap(0, Ordering::AcqRel));
        taken.enumerate().find(|(_, number)| *number != 0)
    }

    /// Waits until it has been rung another number of times than `heard`, which is 0 or what the call before
    /// gave; gives how often it has been.
    ///
    /// # Errors
    /// What `futex(2)` reports.
    pub fn wait(&self, heard: u32) -> io::Result<u32> {
        let rung = &self.page().rung;
        loop {
            let now = rung.load(Ordering::Acquire);
            if now != heard {
                return Ok(now);
            }
            match futex::wait(rung, futex::Flags::empty(), heard, None) {
                Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no reference into it outlives `self`.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<Page>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there_is_taken_once() {
        let bell = Bell::new().expect("a page");
        bell.ring(1, 7);
        bell.ring(PLACES, 9);
        assert_eq!((bell.take(), bell.take()), (Some((1, 7)), None));
        let heard = bell.wait(0).expect("it has rung");
        bell.ring(0, 5);
        assert_eq!(bell.wait(heard).expect("it has rung again"), heard + 1);
        assert_eq!(bell.take(), Some((0, 5)));
    }
}
