function text = md5(bytes)
%MD5  The MD5 of a column of uint8, in hexadecimal; empty where nothing can digest.
%   It is there against accidents. SHA-256 would take Octave twice as long.
    if outlast.internal.is_octave()
        text = hash('md5', char(bytes'));
    elseif usejava('jvm')
        digest = java.security.MessageDigest.getInstance('MD5');
        if ~isempty(bytes)
            digest.update(typecast(bytes, 'int8'));
        end
        text = sprintf('%02x', typecast(digest.digest(), 'uint8'));
    else
        text = '';
    end
end
