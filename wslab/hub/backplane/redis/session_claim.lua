-- Make a node the one that has a session; or ask the one that has it to hand it over, which it does
-- unless its client has come there again since ('visit').
-- KEYS: session, epoch. ARGV: node, its new claim, the claim that it has ('' for none), the node that
-- it is taken from without asking ('' for none), milliseconds to live, the beginning and the end of a node's channel, the
-- session's name there, whose it has to be ('' for anybody's), '1' where a node that does not hear
-- may hear soon.
local claim = redis.call('HGET', KEYS[1], 'claim')
if not claim then
    return {'unknown'}
end
if ARGV[9] ~= '' and redis.call('HGET', KEYS[1], 'user') ~= ARGV[9] then
    return {'anothers'}
end
if claim == ARGV[3] then
    redis.call('HSET', KEYS[1], 'visit', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return {'mine', redis.call('HDEL', KEYS[1], 'behind')}
end
local owner = redis.call('HGET', KEYS[1], 'owner') or ''
local is_anothers = owner ~= '' and owner ~= ARGV[1]
local channel = ARGV[6] .. owner .. ARGV[7]
if is_anothers and owner ~= ARGV[4] then
    local visit = redis.call('HGET', KEYS[1], 'visit') or claim
    if redis.call('PUBLISH', channel, 'release ' .. ARGV[8] .. ' ' .. ARGV[1] .. ' ' .. visit) > 0 then
        return {'asked', owner}
    elseif ARGV[10] == '1' then
        return {'unheard', owner}
    end
end
local fields = redis.call('HGETALL', KEYS[1])
redis.call('HDEL', KEYS[1], 'behind')
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'claim', ARGV[2], 'visit', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if is_anothers then
    redis.call('PUBLISH', channel, 'fenced ' .. ARGV[8] .. ' ' .. claim)
end
return {'taken', owner, fields, redis.call('GET', KEYS[2]) or ''}
