//! The smallest programs there are, put together byte by byte: they need no library, no shell and
//! no other file of an image.

/// A Linux program for x86-64 that ends with `status`.
pub fn exits_with(status: u8) -> Vec<u8> {
    // mov edi, status; mov eax, 60 (exit); syscall
    program(62, &[0xbf, status, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05])
}

/// A Linux program for x86-64 that ends with its effective user, as far as a status goes.
pub fn exits_with_euid() -> Vec<u8> {
    // mov eax, 107 (geteuid); syscall; mov edi, eax; mov eax, 60 (exit); syscall
    let code = [0xb8, 107, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    program(62, &code)
}

/// A program that writes a byte, waits until one can be read, and ends with `status`.
pub fn waits_and_exits_with(status: u8) -> Vec<u8> {
    // mov rsi, rsp; mov edx, 1; mov edi, 1; mov eax, 1 (write); syscall
    let write =
        [0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05];
    // xor edi, edi; xor eax, eax (read); syscall
    let read = [0x31, 0xff, 0x31, 0xc0, 0x0f, 0x05];
    let exit = [0xbf, status, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    program(62, &[&write[..], &read, &exit].concat())
}

/// A program for a processor that no machine of today is (PDP-11).
pub fn foreign() -> Vec<u8> {
    program(65, &[0; 12])
}

fn program(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let length = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    // An executable for `machine`, version 1.
    for half in [2, machine, 1, 0] {
        elf.extend(u16::to_le_bytes(half));
    }
    // Entry, program headers, no sections.
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend([0; 4]);
    for half in [64, 56, 1, 0, 0, 0] {
        elf.extend(u16::to_le_bytes(half));
    }
    // One segment to load, readable and executable.
    elf.extend(u32::to_le_bytes(1));
    elf.extend(u32::to_le_bytes(5));
    for word in [0, BASE, BASE, length, length, 0x1000] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}
