-- Say of sessions that their clients were told more than was written down, by a node that could not
-- write: to the nodes that have them, or in them where no node does.
-- KEYS: sessions. ARGV: the node, the beginning and the end of a node's channel, and the sessions'
-- names there.
-- Returns for each 1, also where it is gone; 0 where it is that very node's.
local found = {}
for nth, key in ipairs(KEYS) do
    local owner = redis.call('HGET', key, 'owner')
    found[nth] = 1
    if owner == ARGV[1] then
        found[nth] = 0
    elseif owner then
        local channel = ARGV[2] .. owner .. ARGV[3]
        if owner == '' or redis.call('PUBLISH', channel, 'behind ' .. ARGV[nth + 3]) == 0 then
            redis.call('HSET', key, 'behind', 1)
        end
    end
end
return found
