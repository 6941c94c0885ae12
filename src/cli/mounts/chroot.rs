//! `chroot`.

use std::path::Path;

use crate::chroot::{self, ChrootError, Keep, KeepError, Request, Rights, Wishes};
use crate::cli::args::{self, Chroot};
use crate::cli::context::Context;
use crate::cli::error::{Error, chain, status};
use crate::cli::mounts::env_file;
use crate::cli::mounts::mount::{chosen_name, image};
use crate::sys::sealed;

/// Exit status of a run that failed before the command, as Docker has it.
const NOT_STARTED: u8 = 125;

/// `shale chroot`
pub fn chroot(context: &mut Context, args: &Chroot) -> Result<(), Error> {
    sealed::run_sealed().map_err(|error| Error::Failed {
        message: format!("cannot run from a file that nobody can change: {error}"),
        hint: Some("it needs /proc, and `sysctl vm.memfd_noexec` below 2".to_owned()),
        status: NOT_STARTED,
    })?;
    let store = context.store()?;
    let (image, _held) = image(context, &args.wanted)?;
    let name = chosen_name(&args.wanted.image, &image).unwrap_or_else(|| image.id.to_string());
    let mut env = Vec::new();
    for file in &args.env_file {
        env.extend(env_file::read(file)?);
    }
    env.extend(args.env.iter().cloned());
    context.out.flush()?;
    let request = Request {
        wishes: Wishes {
            command: args.command.clone(),
            entrypoint: args.entrypoint.clone(),
            env,
            working_dir: args.workdir.clone(),
            user: args.user.clone(),
            groups: args.group_add.clone(),
            hostname: args.hostname.clone(),
        },
        volumes: args.volume.clone(),
        tmpfs: args.tmpfs.clone(),
        read_only: args.read_only,
        keep: args.keep.clone().map(|path| Keep { path, shared: args.keep_shared }),
        no_network: args.net == "none",
        rights: Rights {
            suid: args.suid,
            dev: args.dev,
            cap_add: args.cap_add.clone(),
            cap_drop: args.cap_drop.clone(),
            privileged: args.privileged,
        },
    };
    match chroot::run(&store, &image, &name, &request) {
        Ok(0) => Ok(()),
        Ok(status) => Err(Error::Said { status }),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: ChrootError) -> Error {
    let (status, hint) = match &error {
        ChrootError::Image(_) => {
            return match error {
                ChrootError::Image(error) => error.into(),
                other => Error::failed(chain(&other)),
            };
        }
        ChrootError::Inside { code, .. } => (*code, None),
        // A command that says that all is well has not seen the image.
        ChrootError::Server { code: 0, .. } => (NOT_STARTED, None),
        ChrootError::Server { code, .. } => (*code, None),
        ChrootError::Mount(error) => (NOT_STARTED, error.hint().map(str::to_owned)),
        ChrootError::Namespaces(_) => (NOT_STARTED, Some(namespaces_hint())),
        ChrootError::Keep(error) => (NOT_STARTED, keep_hint(error)),
        _ => (NOT_STARTED, None),
    };
    Error::Failed { message: chain(&error), hint, status }
}

fn keep_hint(error: &KeepError) -> Option<String> {
    match error {
        KeepError::OtherImage { .. } | KeepError::Foreign { .. } => {
            Some("choose an empty or missing directory with `--keep`".to_owned())
        }
        KeepError::OtherOwner { other, .. } => {
            Some(format!("run it as {other} again, or choose another directory with `--keep`"))
        }
        KeepError::Open { path, .. } => Some(format!(
            "`chmod 0700 {}`; or `--keep-shared`, if every user who can enter it may run, as \
             set-user-ID programs say, what is kept there",
            path.display()
        )),
        KeepError::NotOurs { .. } => Some(
            "choose a directory of your own; or `--keep-shared`, if its owner may change what you \
             will run"
                .to_owned(),
        ),
        KeepError::Busy { .. } | KeepError::Io { .. } => None,
    }
}

/// `shale keep`
pub fn keep(args: &args::Keep) -> Result<(), Error> {
    let args::KeepCommand::Rm { directory } = &args.command;
    chroot::remove_kept(directory).map_err(|error| {
        let hint = matches!(error, ChrootError::Namespaces(_)).then(namespaces_hint);
        Error::Failed { message: chain(&error), hint, status: status::FAILED }
    })
}

/// Switches by which distributions forbid user namespaces, and the value that forbids.
const SWITCHES: [(&str, &str); 3] = [
    ("kernel/unprivileged_userns_clone", "0"),
    ("user/max_user_namespaces", "0"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
];

fn namespaces_hint() -> String {
    let forbids = |(path, value): &&(&str, &str)| {
        std::fs::read_to_string(Path::new("/proc/sys").join(path))
            .is_ok_and(|text| text.trim() == *value)
    };
    let switch = SWITCHES.iter().find(forbids);
    let why = switch.map_or_else(
        || "user namespaces may be switched off, or this is a container without them".to_owned(),
        |(path, value)| {
            format!("user namespaces are restricted (sysctl {}={value})", path.replace('/', "."))
        },
    );
    format!("{why}; root outside of containers needs none")
}
