-- Have sessions live on whose clients are connected.
-- KEYS: sessions. ARGV: milliseconds to live, and the node's claim to each.
-- Returns for each 1; 0 where another node has it; 2 where nothing is there; 3 where its client was
-- told more by another node (`session_behind`).
local found = {}
for nth, key in ipairs(KEYS) do
    local claim = redis.call('HGET', key, 'claim')
    if not claim then
        found[nth] = 2
    elseif claim ~= ARGV[nth + 1] then
        found[nth] = 0
    else
        redis.call('PEXPIRE', key, ARGV[1])
        found[nth] = redis.call('HDEL', key, 'behind') == 1 and 3 or 1
    end
end
return found
