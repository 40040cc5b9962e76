function yes = can_sync()
%CAN_SYNC  Whether files can be made durable: neither language can, but the program sync of GNU.
    persistent known
    if isempty(known)
        known = isunix() && ~ismac() && system('sync --version >/dev/null 2>&1') == 0;
    end
    yes = known;
end
