# Completion of vferry for fish. vferry itself knows what may follow; here it is asked.
function __vferry_complete
    set -l typed (commandline -ct)
    set -l words (commandline -opc) "$typed"
    for answer in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
        switch $answer
            case ':files'
                __fish_complete_path "$typed"
            case ':directories'
                __fish_complete_directories "$typed" ''
            case '*'
                echo $answer
        end
    end
end
complete -c vferry -f -a '(__vferry_complete)'
