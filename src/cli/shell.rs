//! `completion` and `man`: what a shell and man(1) want to know, from the same definition that
//! parses the command line.

use std::path::Path;

use clap_complete::Shell;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use super::args::{self, Completion, Man};
use super::context::Context;
use super::error::Error;

/// The variable by which the scripts ask this program for completions.
const COMPLETE: &str = "COMPLETE";

/// Whether a script asks: then the variable names its shell. With another value it is somebody
/// else's variable.
pub fn asks_for_completion() -> bool {
    let shell = std::env::var(COMPLETE).unwrap_or_default();
    Shells::builtins().completer(&shell).is_some()
}

/// For bash, which cuts words at colons and equals signs, while images' names have colons in them:
/// the pieces are put together for the question, and what is there already is cut from the answers.
const BASH: &str = r#"_shale_complete() {
    local IFS=$'\013' line=${COMP_LINE:0:COMP_POINT} words=() piece i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $line != [[:blank:]]* ]]; then
            words[${#words[@]} - 1]+=$piece
        else
            line=${line#"${line%%[![:blank:]]*}"}
            words+=("$piece")
        fi
        line=${line#"$piece"}
    done
    local word=${words[${#words[@]} - 1]}
    [[ $piece == [:=] ]] && piece=
    local there=${word%"$piece"}
    COMPREPLY=($(_CLAP_IFS=$IFS _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
        _CLAP_COMPLETE_COMP_TYPE=$COMP_TYPE _CLAP_COMPLETE_SPACE=true COMPLETE=bash \
        shale -- "${words[@]}")) || COMPREPLY=()
    COMPREPLY=("${COMPREPLY[@]#"$there"}")
}
complete -o bashdefault -o nosort -F _shale_complete shale 2>/dev/null ||
    complete -o bashdefault -F _shale_complete shale
"#;

/// `shale completion`
pub fn completion(context: &mut Context, args: &Completion) -> Result<(), Error> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => return context.out.data(BASH),
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::PowerShell => &Powershell,
        Shell::Zsh => &Zsh,
        other => return Err(Error::usage(format!("completion for {other} is not known"))),
    };
    let mut script = Vec::new();
    shell
        .write_registration(COMPLETE, "shale", "shale", "shale", &mut script)
        .map_err(Error::io("completion script"))?;
    context.out.raw(&script)
}

/// `shale man`
pub fn man(context: &mut Context, args: &Man) -> Result<(), Error> {
    let mut command = args::command();
    command.build();
    if let Some(directory) = &args.output {
        return write_all(&command, directory);
    }
    let page = match &args.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name);
            found
                .ok_or_else(|| {
                    Error::usage(format!("no such command: {name}"))
                        .hint("`shale --help` lists them")
                })?
                .clone()
        }
    };
    context.out.raw(&render(page)?)
}

fn render(command: clap::Command) -> Result<Vec<u8>, Error> {
    let extra = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (commands, version) = (command.has_subcommands(), command.get_version().is_some());
    let man = clap_mangen::Man::new(command);
    let mut page = Vec::new();
    let mut sections = || -> std::io::Result<()> {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if commands {
            man.render_subcommands_section(&mut page)?;
        }
        page.extend(as_written(&extra).bytes());
        // Only the program has one, and the crate counts on it.
        if version { man.render_version_section(&mut page) } else { Ok(()) }
    };
    sections().map_err(Error::io("manual page"))?;
    Ok(page)
}

/// Examples and notes with their lines as they are: filled lines would run commands together.
fn as_written(text: &str) -> String {
    let mut page = String::new();
    for (number, part) in text.split("\n\n").filter(|part| !part.is_empty()).enumerate() {
        let (title, lines) = match part.split_once('\n') {
            Some((title, lines)) if title.starts_with("Example") => ("EXAMPLES", lines),
            _ => (if number == 0 { "NOTES" } else { "" }, part),
        };
        page.push_str(&if title.is_empty() { ".PP\n".into() } else { format!(".SH {title}\n") });
        page.push_str(".nf\n");
        for line in lines.lines() {
            // A line that begins with a dot or a quote would be a request.
            page.push_str("\\&");
            page.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
            page.push('\n');
        }
        page.push_str(".fi\n");
    }
    page
}

/// One page for the program and one for each command: `shale.1`, `shale-mount.1`.
fn write_all(command: &clap::Command, directory: &Path) -> Result<(), Error> {
    let commands = command.get_subcommands().filter(|command| command.get_name() != "image");
    let pages = commands.map(|found| (format!("shale-{}.1", found.get_name()), found.clone()));
    for (name, command) in pages.chain([("shale.1".to_owned(), command.clone())]) {
        let path = directory.join(name);
        std::fs::write(&path, render(command)?).map_err(Error::io(path.display()))?;
    }
    Ok(())
}
