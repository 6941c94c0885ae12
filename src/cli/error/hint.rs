//! Remedies: what a user can do about an error of the library, where that is known.

use std::error::Error;
use std::io;

use crate::archive::ArchiveError;
use crate::browse;
use crate::limits::Exceeded;
use crate::oci::{ChoiceError, Reference};
use crate::pull::PullError;
use crate::source::SourceError;
use crate::source::registry::{Fault, RegistryError};
use crate::store::StoreError;

const OTHER_PLATFORM: &str = "choose another one with `--platform`, `shale platforms` lists them";
const NOT_THE_BYTES: &str = "these are not the bytes that were promised; nothing of them is kept";

/// Of the store's errors.
pub fn store(error: &StoreError) -> Option<String> {
    Some(match error {
        StoreError::NoSuchImage { .. } => "`shale ls` lists the images there are".to_owned(),
        StoreError::Ambiguous { .. } => "give more digits of the ID".to_owned(),
        StoreError::InUse { mountpoint, .. } => {
            format!("`shale umount {}` first", mountpoint.display())
        }
        StoreError::Running { .. } => "end the `shale chroot` of it first".to_owned(),
        StoreError::SeveralNames { .. } => {
            "`-f` removes them all, or remove names one by one".to_owned()
        }
        StoreError::Newer { .. } => "use a newer version of shale".to_owned(),
        StoreError::NotAStore { .. } => {
            "choose an empty or missing directory with `--root`".to_owned()
        }
        StoreError::Damaged { .. } => "`shale verify --repair` sets it right".to_owned(),
        StoreError::MissingBlob { .. }
        | StoreError::DigestMismatch { .. }
        | StoreError::SizeMismatch { .. } => "pull the image again to heal it".to_owned(),
        StoreError::Io { source, .. } => return system(source),
        _ => return None,
    })
}

/// Of the system's errors in the store.
fn system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => "`shale prune` frees space that no image needs",
        io::ErrorKind::PermissionDenied => {
            "choose a store of your own with `--root` or $SHALE_ROOT"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Of sources' errors.
pub fn source(error: &SourceError) -> Option<String> {
    let hint = match error {
        SourceError::SeveralImages { .. } => "add `:NAME` or `:@N` to say which",
        SourceError::ForeignLayer(_) => "`--foreign` fetches such layers",
        SourceError::Choice(ChoiceError::NoMatch { .. }) => OTHER_PLATFORM,
        SourceError::Registry(error) => return registry(error),
        error if error.is_mismatch() => NOT_THE_BYTES,
        error => return raise(error),
    };
    Some(hint.to_owned())
}

fn registry(error: &RegistryError) -> Option<String> {
    let hint = match error {
        RegistryError::Transport {
            proxy: Some(_),
            fault: Fault::Refused | Fault::Lookup(_) | Fault::TimedOut(_),
            ..
        } => {
            "is the proxy running? It is named by $https_proxy, $http_proxy or $all_proxy; \
             $no_proxy lists hosts to ask directly"
        }
        RegistryError::Transport { fault, .. } => match fault {
            Fault::Refused => "is the registry running, and is this its port?",
            Fault::Lookup(_) => "check the registry's name and this machine's network",
            Fault::Tls(_) => {
                "`--plain-http` is for registries without TLS, `--insecure` for those whose \
                 certificate nobody has signed"
            }
            _ => return None,
        },
        RegistryError::NotFound { what, .. } => {
            return Some(match what.parse::<Reference>() {
                Ok(name) => format!("`shale search {}` lists the tags there are", name.name()),
                Err(_) => "`shale search REGISTRY/` lists the repositories there are".to_owned(),
            });
        }
        RegistryError::NotFoundOrNoAccess { .. } => {
            "check the name; for a private repository `shale login` first"
        }
        RegistryError::PlainCredentials { .. } => {
            "leave out `--plain-http` when the registry has TLS; `--plain-http-credentials` sends \
             them all the same"
        }
        RegistryError::Unauthorized { .. } => "`shale login REGISTRY` keeps a password for it",
        RegistryError::Status { status: 429, .. } => {
            "the registry limits how often it is asked; `shale login` or waiting may help"
        }
        RegistryError::GaveUp { last, .. } => return registry(last),
        error if error.is_mismatch() => NOT_THE_BYTES,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Of a pull's own errors.
pub fn pull(error: &PullError) -> Option<String> {
    let hint = match error {
        PullError::Choice(ChoiceError::NoMatch { .. }) => OTHER_PLATFORM,
        PullError::Foreign { .. } => "`--foreign` fetches such layers",
        error if error.is_mismatch() => NOT_THE_BYTES,
        error => return raise(error),
    };
    Some(hint.to_owned())
}

/// Of errors of reading an image's files.
pub fn browse(error: &browse::Error) -> Option<String> {
    let hint = match error {
        error if error.is_mismatch() => "pull the image again to heal it",
        browse::Error::Destination { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => "make the directory first",
            _ => return None,
        },
        _ => return None,
    };
    Some(hint.to_owned())
}

/// How the limit is raised that was exceeded.
fn raise(error: &(dyn Error + 'static)) -> Option<String> {
    let name = Exceeded::behind(error)?.limit.name();
    Some(format!("if the image is to be trusted, `--limit {name}=NUMBER` sets another limit"))
}

/// Of errors of writing archives.
pub fn archive(error: &ArchiveError) -> Option<String> {
    error.is_mismatch().then(|| "pull the image again to heal it".to_owned())
}
