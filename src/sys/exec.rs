//! Becoming another program, exactly as asked: no search, no shell for files that are not programs
//! (`execvp(3)` has both), so that the reason of a failure is the file's own.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Replaces this process by `program` with `argv` and the environment `env`. SIGPIPE, which Rust's
/// runtime ignores, and SIGXFSZ, which [`super::signal::survive_file_size_limit`] does, have their
/// default effects again. Returns only when that fails: why.
pub fn exec(program: &Path, argv: &[String], env: &[(String, String)]) -> io::Error {
    match prepare(program, argv, env) {
        Ok((program, argv, env)) => execve(&program, &argv, &env),
        Err(error) => error,
    }
}

type Words = (CString, Vec<CString>, Vec<CString>);

fn prepare(program: &Path, argv: &[String], env: &[(String, String)]) -> io::Result<Words> {
    let program = CString::new(program.as_os_str().as_bytes())?;
    let argv = argv.iter().map(|word| CString::new(word.as_bytes()));
    let env = env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    Ok((program, argv.collect::<Result<_, _>>()?, env.collect::<Result<_, _>>()?))
}

fn execve(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: the default effect is a valid one, and no handler of this program is lost by it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: NUL-terminated strings in NULL-terminated lists, alive until the call returns.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}
