"""Languages is a small dictionary of our own: common English words in Spanish, German, French and Portuguese."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal, get_args

Language = Literal["es", "de", "fr", "pt"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

# English, then one word in each of LANGUAGES; a blank within one is written as an underscore. Words of a trade (card,
# account, price) are not among them: who mixes languages keeps those, and a classifier that lost them too would look
# worse than it is.
_WORDS = """
the el die le o | a un ein un um | an un ein un um | and y und et e | or o oder ou ou | but pero aber mais mas
not no nicht pas não | no no nein non não | yes sí ja oui sim | if si wenn si se
because porque weil parce_que porque | i yo ich je eu | you tú du tu você | he él er il ele | she ella sie elle ela
it ello es ça isso | we nosotros wir nous nós | they ellos sie ils eles | me me mich moi mim | my mi mein mon meu
your tu dein ton seu | our nuestro unser notre nosso | his su sein son dele | her su ihr sa dela
their su ihr leur deles | this este dieser ce este | that ese dass que esse | these estos diese ces estes
those esos jene ceux esses | here aquí hier ici aqui | there allí dort là lá | what qué was que que
which cuál welcher quel qual | who quién wer qui quem | when cuándo wann quand quando | where dónde wo où onde
why por_qué warum pourquoi por_que | how cómo wie comment como | many muchos viele beaucoup muitos
much mucho viel beaucoup muito | more más mehr plus mais | less menos weniger moins menos | all todo alles tout tudo
some algunos einige quelques alguns | any cualquier irgendein quelconque qualquer | every cada jeder chaque cada
other otro andere autre outro | another otro ein_anderer un_autre outro | same mismo gleich même mesmo
only solo nur seulement apenas | also también auch aussi também | too también auch aussi também
very muy sehr très muito | still todavía noch encore ainda | already ya schon déjà já | yet todavía noch encore ainda
now ahora jetzt maintenant agora | then entonces dann alors então | today hoy heute aujourd'hui hoje
tomorrow mañana morgen demain amanhã | yesterday ayer gestern hier ontem | day día Tag jour dia
days días Tage jours dias | week semana Woche semaine semana | weeks semanas Wochen semaines semanas
month mes Monat mois mês | year año Jahr an ano | hour hora Stunde heure hora | hours horas Stunden heures horas
minute minuto Minute minute minuto | time tiempo Zeit temps tempo | long largo lang long longo
soon pronto bald bientôt logo | late tarde spät tard tarde | never nunca nie jamais nunca
always siempre immer toujours sempre | again otra_vez wieder encore_une_fois de_novo | before antes vorher avant antes
after después nach après depois | until hasta bis jusque até | while mientras während pendant enquanto
of de von de de | to a zu à a | in en in dans em | on en auf sur em | at en bei à em | for para für pour para
from de von de de | with con mit avec com | without sin ohne sans sem | by por durch par por
about sobre über sur sobre | into en hinein dans em | out fuera aus dehors fora | up arriba hoch haut acima
down abajo runter bas abaixo | over sobre über sur sobre | under bajo unter sous sob
between entre zwischen entre entre | through por durch par através | against contra gegen contre contra
off apagado aus éteint desligado | is es ist est é | are son sind sont são | am soy bin suis sou
was era war était era | were eran waren étaient eram | be ser sein être ser | been sido gewesen été sido
have tengo habe ai tenho | has tiene hat a tem | had tenía hatte avait tinha | do hago tue fais faço
does hace tut fait faz | did hizo tat fit fez | can puedo kann peux posso | could podría könnte pourrais poderia
will voy werde vais vou | would quisiera würde voudrais gostaria | should debería sollte devrais deveria
must debo muss dois devo | may puede darf peut pode | need necesito brauche besoin preciso
want quiero will veux quero | like gusta mag aime gosto | know sé weiß sais sei | think pienso denke pense penso
see veo sehe vois vejo | look miro schaue regarde olho | find encontrar finden trouver encontrar
get conseguir bekommen obtenir obter | give dar geben donner dar | take tomar nehmen prendre pegar
make hacer machen faire fazer | made hecho gemacht fait feito | go ir gehen aller ir | come venir kommen venir vir
use usar benutzen utiliser usar | using usando benutzend utilisant usando | work funciona funktioniert marche funciona
help ayuda Hilfe aide ajuda | please por_favor bitte s'il_vous_plaît por_favor | thanks gracias danke merci obrigado
thank gracias danke merci obrigado | sorry perdón Entschuldigung désolé desculpe | hello hola hallo bonjour olá
tell decir sagen dire dizer | say decir sagen dire dizer | said dijo sagte dit disse
ask preguntar fragen demander perguntar | show mostrar zeigen montrer mostrar | put poner legen mettre pôr
keep guardar behalten garder guardar | try intentar versuchen essayer tentar | tried intenté versucht essayé tentei
wait esperar warten attendre esperar | happened pasó passiert arrivé aconteceu
happen pasar passieren arriver acontecer | understand entiendo verstehe comprends entendo
believe creo glaube crois acredito | add añadir hinzufügen ajouter adicionar
start empezar anfangen commencer começar | stop parar aufhören arrêter parar | house casa Haus maison casa
home casa Zuhause maison casa | city ciudad Stadt ville cidade | people gente Leute gens pessoas
person persona Person personne pessoa | man hombre Mann homme homem | woman mujer Frau femme mulher
child niño Kind enfant criança | friend amigo Freund ami amigo | friends amigos Freunde amis amigos
thing cosa Ding chose coisa | something algo etwas quelque_chose algo
anything algo irgendetwas quoi_que_ce_soit qualquer_coisa | nothing nada nichts rien nada
problem problema Problem problème problema | water agua Wasser eau água | food comida Essen nourriture comida
world mundo Welt monde mundo | life vida Leben vie vida | hand mano Hand main mão | way manera Weg façon maneira
place lugar Ort endroit lugar | new nuevo neu nouveau novo | old viejo alt vieux velho | good bueno gut bon bom
bad malo schlecht mauvais ruim | big grande groß grand grande | small pequeño klein petit pequeno
great genial großartig génial ótimo | right correcto richtig correct certo | first primero erste premier primeiro
last último letzte dernier último | next siguiente nächste prochain próximo | one uno eins un um
two dos zwei deux dois | three tres drei trois três | few pocos wenige peu poucos
most mayoría meisten plupart maioria | available disponible verfügbar disponible disponível
possible posible möglich possible possível | really realmente wirklich vraiment realmente
maybe quizás vielleicht peut-être talvez | just justo nur juste apenas | back atrás zurück retour volta
away lejos weg loin longe | around alrededor herum autour ao_redor | easy fácil einfach facile fácil
"""


@cache
def dictionary(language: Language) -> Mapping[str, str]:
    """Small English words, each with the word of the other language."""
    rows = [row.split() for row in _WORDS.replace("|", "\n").strip().split("\n")]
    return {row[0]: row[1 + LANGUAGES.index(language)].replace("_", " ") for row in rows}
