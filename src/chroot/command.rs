//! What is run: the image's Entrypoint, Cmd, Env and WorkingDir (OCI config.md) under what the
//! user asked for on the command line, with Docker's rules of precedence.

use super::user::User;

/// The image's own wishes, from its config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `NAME=VALUE` lines.
    pub env: Vec<String>,
    /// Command prefix.
    pub entrypoint: Vec<String>,
    /// Arguments, or the whole command.
    pub cmd: Vec<String>,
    /// Absolute path, empty for `/`.
    pub working_dir: String,
    /// As [`super::user::resolve`] takes it.
    pub user: String,
}

/// What the user said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The command; empty takes the image's.
    pub command: Vec<String>,
    /// Instead of Entrypoint and Cmd, with `command` as its arguments; empty stands for neither.
    pub entrypoint: Option<String>,
    /// `NAME=VALUE`, or `NAME` to pass the caller's value on, or to have none when it has none.
    pub env: Vec<String>,
    /// Instead of WorkingDir.
    pub working_dir: Option<String>,
    /// Instead of User.
    pub user: Option<String>,
    /// Supplementary groups besides those of the user, names or numbers.
    pub groups: Vec<String>,
    /// Instead of the short ID of the image.
    pub hostname: Option<String>,
}

/// A command ready to be executed inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The whole environment, names unique.
    pub env: Vec<(String, String)>,
    /// Absolute.
    pub working_dir: String,
}

impl Command {
    /// A variable of its environment, empty when it is not set.
    pub(super) fn variable(&self, name: &str) -> &str {
        self.env.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Where programs are searched when the image does not say: Docker's default.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts the image's defaults and the user's wishes together. A command on the command line takes
/// the place of Cmd *and* Entrypoint: who steps into an image with a command means that command.
/// Without one, and with an image that names none, it is a shell.
pub fn compose(
    defaults: &Defaults,
    wishes: &Wishes,
    user: &User,
    hostname: &str,
    caller: impl Fn(&str) -> Option<String>,
) -> Command {
    let argv = words(defaults, wishes);
    let mut env = vec![
        ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ("HOSTNAME".to_owned(), hostname.to_owned()),
        ("HOME".to_owned(), user.home.clone()),
    ];
    if let Some(terminal) = caller("TERM") {
        set(&mut env, "TERM", terminal);
    }
    for (name, value) in defaults.env.iter().filter_map(|line| line.split_once('=')) {
        set(&mut env, name, value.to_owned());
    }
    for line in &wishes.env {
        match line.split_once('=') {
            Some((name, value)) => set(&mut env, name, value.to_owned()),
            None => match caller(line) {
                Some(value) => set(&mut env, line, value),
                None => env.retain(|(name, _)| name != line),
            },
        }
    }
    let working_dir = wishes.working_dir.as_deref().unwrap_or(&defaults.working_dir);
    let working_dir = format!("/{}", working_dir.trim_start_matches('/'));
    Command { argv, env, working_dir }
}

fn words(defaults: &Defaults, wishes: &Wishes) -> Vec<String> {
    let entrypoint: Vec<String> = match &wishes.entrypoint {
        Some(program) => vec![program.clone()],
        None if wishes.command.is_empty() => defaults.entrypoint.clone(),
        None => Vec::new(),
    };
    // `[""]` is how Docker's tools write that there is none.
    let entrypoint = if entrypoint == [""] { Vec::new() } else { entrypoint };
    let arguments = match wishes.entrypoint {
        None if wishes.command.is_empty() => &defaults.cmd,
        _ => &wishes.command,
    };
    let words = [entrypoint, arguments.clone()].concat();
    if words.is_empty() { vec!["/bin/sh".to_owned()] } else { words }
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: String) {
    match env.iter_mut().find(|(existing, _)| existing == name) {
        Some(pair) => pair.1 = value,
        None => env.push((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> User {
        User { uid: 0, gid: 0, groups: vec![0], home: "/root".into() }
    }

    fn image() -> Defaults {
        Defaults {
            env: vec!["PATH=/opt/bin".into(), "LANG=C".into()],
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            working_dir: "/srv".into(),
            user: String::new(),
        }
    }

    fn run(defaults: &Defaults, wishes: &Wishes) -> Command {
        compose(defaults, wishes, &root(), "box", |name| {
            (name == "TERM" || name == "LANG").then(|| format!("my-{name}"))
        })
    }

    fn value<'a>(command: &'a Command, name: &str) -> Option<&'a str> {
        command.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    #[test]
    fn the_image_decides_when_the_user_is_silent() {
        let command = run(&image(), &Wishes::default());
        assert_eq!(command.argv, ["/entry", "serve"]);
        assert_eq!(command.working_dir, "/srv");
        assert_eq!(value(&command, "PATH"), Some("/opt/bin"));
        assert_eq!(value(&command, "HOME"), Some("/root"));
        assert_eq!(value(&command, "TERM"), Some("my-TERM"));
        assert_eq!(value(&command, "LANG"), Some("C"));
    }

    #[test]
    fn a_command_takes_the_place_of_entrypoint_and_cmd() {
        let wishes = Wishes {
            command: vec!["ls".into(), "/".into()],
            env: vec!["LANG".into(), "A=b=c".into(), "UNSET".into(), "HOSTNAME".into()],
            working_dir: Some("tmp".into()),
            ..Wishes::default()
        };
        let command = run(&image(), &wishes);
        assert_eq!(command.argv, ["ls", "/"]);
        assert_eq!(command.working_dir, "/tmp");
        assert_eq!(value(&command, "LANG"), Some("my-LANG"));
        assert_eq!(value(&command, "A"), Some("b=c"));
        assert_eq!((value(&command, "UNSET"), value(&command, "HOSTNAME")), (None, None));
    }

    #[test]
    fn entrypoints_are_replaced_and_cleared_as_docker_does() {
        let argv = |defaults: &Defaults, entrypoint: Option<&str>, command: &[&str]| {
            let wishes = Wishes {
                entrypoint: entrypoint.map(str::to_owned),
                command: command.iter().map(|word| (*word).to_owned()).collect(),
                ..Wishes::default()
            };
            run(defaults, &wishes).argv
        };
        assert_eq!(argv(&image(), Some("/own"), &["a", "b"]), ["/own", "a", "b"]);
        assert_eq!(argv(&image(), Some("/own"), &[]), ["/own"], "Cmd was for the other one");
        assert_eq!(argv(&image(), Some(""), &["a"]), ["a"]);
        assert_eq!(argv(&image(), Some(""), &[]), ["/bin/sh"]);
        let cleared = Defaults { entrypoint: vec![String::new()], ..image() };
        assert_eq!(argv(&cleared, None, &[]), ["serve"]);
        assert_eq!(argv(&Defaults { cmd: Vec::new(), ..cleared }, None, &[]), ["/bin/sh"]);
    }

    #[test]
    fn an_image_that_names_nothing_gets_a_shell() {
        let command = run(&Defaults::default(), &Wishes::default());
        assert_eq!(command.argv, ["/bin/sh"]);
        assert_eq!(command.working_dir, "/");
        assert_eq!(value(&command, "PATH"), Some(DEFAULT_PATH));
    }
}
