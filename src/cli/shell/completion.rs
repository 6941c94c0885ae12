//! `completion`: a script that makes a shell ask this program for completions.

use clap_complete::Shell;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use crate::cli::args::Completion;
use crate::cli::context::Context;
use crate::cli::error::Error;

/// The variable by which the scripts ask this program for completions.
const COMPLETE: &str = "COMPLETE";

/// Whether a script asks: then the variable names its shell. With another value it is somebody
/// else's variable.
pub fn is_asked_for() -> bool {
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
