//! `ioctl(2)` requests that only fill a buffer.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

/// A request that gives the kernel `SIZE` bytes of room.
struct Read<const SIZE: usize> {
    request: Opcode,
    bytes: [u8; SIZE],
}

// SAFETY: `request` encodes that the kernel writes at most `SIZE` bytes, which [`read`] checks, and
// `as_ptr` points at that many bytes, which live as long as the call.
unsafe impl<const SIZE: usize> Ioctl for Read<SIZE> {
    type Output = [u8; SIZE];

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.request
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }

    // SAFETY: the bytes are initialised whatever the kernel wrote of them.
    unsafe fn output_from_ptr(
        _: IoctlOutput,
        bytes: *mut c_void,
    ) -> rustix::io::Result<[u8; SIZE]> {
        // SAFETY: rustix hands back what `as_ptr` gave it, which is a live array of this type.
        Ok(unsafe { *bytes.cast::<[u8; SIZE]>() })
    }
}

/// The bytes that the kernel, or a file system behind it, answers to `request`; zeros after them.
///
/// # Errors
/// `InvalidInput` when `request` is not one that reads exactly `SIZE` bytes; what the kernel says,
/// ENOTTY where nobody knows the request.
pub fn read<const SIZE: usize>(fd: impl AsFd, request: u32) -> io::Result<[u8; SIZE]> {
    let (group, number) = (request.to_le_bytes()[1], request.to_le_bytes()[0]);
    if rustix::ioctl::opcode::read::<[u8; SIZE]>(group, number) != request {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: see `Read`; the request was just checked to read exactly `SIZE` bytes.
    unsafe { ioctl(fd, Read { request, bytes: [0; SIZE] }) }.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_another_size_or_direction_is_not_made() {
        let null = std::fs::File::open("/dev/null").expect("it is everywhere");
        let request = rustix::ioctl::opcode::read::<[u8; 8]>(b's', 1);
        let kind = |result: io::Result<_>| result.expect_err("refused").kind();
        assert_eq!(kind(read::<16>(&null, request).map(|_| ())), io::ErrorKind::InvalidInput);
        let writes = rustix::ioctl::opcode::write::<[u8; 8]>(b's', 1);
        assert_eq!(kind(read::<8>(&null, writes).map(|_| ())), io::ErrorKind::InvalidInput);
        let unknown = read::<8>(&null, request).expect_err("/dev/null knows none");
        assert_eq!(unknown.raw_os_error(), Some(libc::ENOTTY));
    }
}
