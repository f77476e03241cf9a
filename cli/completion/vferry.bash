# Completion of vferry for bash. vferry itself knows what may follow; here it is asked.
_vferry() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word answer
    # Bash would take "a:1" and "--to=b" apart; vferry gets them whole, and bash what follows its last break.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local typed=${words[-1]}
    local kept=${typed%"${typed##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r answer; do
        word=${answer%%$'\t'*}
        case $word in
        :files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "${typed#"$kept"}") ;;
        :directories) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "${typed#"$kept"}") ;;
        ?*) COMPREPLY+=("${word#"$kept"}") ;;
        esac
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _vferry vferry
