-- Write down what a node knows of a session, unless another node has it.
-- KEYS: session. ARGV: the node's claim, the owner ('' where it is handed over), milliseconds to
-- live, 'open' (it is a new one), 'late' (it was, and is away), 'whole' or 'part', the state ('' where it is the same), how many
-- fields to forget and these, the beginning and the end of a node's channel, the session's name
-- there, whose it is, how many packets were handled; then fields and values.
-- Returns 1; 0 where another node has it; 2 where nothing is there, and 'part' is too little.
local claim = redis.call('HGET', KEYS[1], 'claim')
local forget = tonumber(ARGV[6])
local rest = 6 + forget
if claim and claim ~= ARGV[1] then
    if ARGV[4] ~= 'open' then
        return 0
    end
    local owner = redis.call('HGET', KEYS[1], 'owner')
    if owner and owner ~= '' and owner ~= ARGV[2] then
        local channel = ARGV[rest + 1] .. owner .. ARGV[rest + 2]
        redis.call('PUBLISH', channel, 'fenced ' .. ARGV[rest + 3] .. ' ' .. claim)
    end
    redis.call('DEL', KEYS[1])
elseif not claim and ARGV[4] == 'part' then
    return 2
end
redis.call('HSET', KEYS[1], 'claim', ARGV[1], 'owner', ARGV[2], 'user', ARGV[rest + 4],
    'received', ARGV[rest + 5])
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[1], 'state', ARGV[5])
end
for at = 7, rest do
    redis.call('HDEL', KEYS[1], ARGV[at])
end
for at = rest + 6, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
